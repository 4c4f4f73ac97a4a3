"""When a sender report is due, and what it says (RFC 3550, 6.2 and 6.4)."""

from __future__ import annotations

import math

from faceanond.clock import Clock
from faceanond.publish import rtp
from faceanond.publish.packet import EncodedPacket
from faceanond.publish.rtp import Packetiser

INTERVAL = 5.0
"""Seconds between two reports."""


class Reports:
    """Those about one RTP stream, whose pictures `camera` takes."""

    def __init__(self, packetiser: Packetiser, *, camera: str, clock: Clock) -> None:
        self._packetiser = packetiser
        self._camera = camera
        self._clock = clock
        self._last = -math.inf

    def restart(self) -> None:
        """The next picture has one."""
        self._last = -math.inf

    def due(self, packet: EncodedPacket) -> bytes | None:
        """The report that goes out beside this picture, which says when it was taken; None when it is too early."""
        now = self._clock.monotonic()
        if now - self._last < INTERVAL:
            return None
        self._last = now
        captured = self._clock.wall() - (now - packet.captured)
        return rtp.sender_report(self._packetiser, timestamp=packet.timestamp, unix=captured, cname=self._camera)
