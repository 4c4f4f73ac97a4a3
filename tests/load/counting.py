"""Counts an RTP stream without decoding it: packets, pictures, gaps, and when the first whole keyframe was there."""

from __future__ import annotations

import time

IDR, SPS, STAP_A, FU_A = 5, 7, 24, 28


class Arrivals:
    """What one viewer received. Feed it every packet in the order of arrival."""

    def __init__(self) -> None:
        self.packets = 0
        self.octets = 0
        self.pictures = 0
        self.lost = 0
        """Sequence numbers that never came, or came late."""
        self.first_picture: float | None = None
        """When the first keyframe was complete (monotonic)."""
        self.first_packet: float | None = None
        self.highest = 0
        """The extended sequence number of the last packet."""
        self._idr = False
        self._started = False

    def packet(self, data: bytes) -> None:
        """A whole RTP packet; its payload is looked at only until the first picture, and may be encrypted later."""
        sequence = int.from_bytes(data[2:4], "big")
        step = (sequence - self.highest) & 0xFFFF
        if self.packets == 0:
            self.highest, self.first_packet = sequence, time.monotonic()
        elif 0 < step < 0x8000:
            self.lost += step - 1
            self.highest += step
        self.packets += 1
        self.octets += len(data)
        if self.first_picture is None:
            self._look(data)
        if data[1] & 0x80:
            self.pictures += 1

    def _look(self, data: bytes) -> None:
        start = 12 + 4 * (data[0] & 0x0F)
        if data[0] & 0x10:
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        kind = data[start] & 0x1F
        if kind == SPS or (kind == STAP_A and data[start + 3] & 0x1F == SPS):
            self._started = True
        elif kind == IDR or (kind == FU_A and data[start + 1] & 0x1F == IDR):
            self._idr = True
        if data[1] & 0x80:
            if self._started and self._idr and self.lost == 0:
                self.first_picture = time.monotonic()
            self._started = self._idr = False
