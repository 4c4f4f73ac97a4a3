"""The passage from a camera's shared stream to one viewer: encoded packets, never pictures.

aiortc packetises an `av.Packet` and encodes an `av.Frame`; only the first may ever reach it, since an encode per
viewer is what four viewers of a 720p camera cannot be given.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from faceanond.publish.packet import CLOCK_RATE, EncodedPacket
from faceanond.publish.stream import Reader, Role, Stream, StreamClosedError

_TIME_BASE = Fraction(1, CLOCK_RATE)


class PassthroughTrack(MediaStreamTrack):
    """Reads one camera's stream for one viewer, from the next keyframe on.

    It subscribes when aiortc first asks, that is after the handshake: a viewer that never gets through costs the
    encoder nothing. `stop` (which aiortc calls when the sender ends, for whatever reason) unsubscribes. Events:
    "started" with the subscription, "exhausted" when the camera's stream closes, "failed" with the error when a defect
    ends the sending, "ended" in any case.
    """

    kind = "video"

    def __init__(self, stream: Stream, *, protocol: str = "webrtc", role: Role = Role.VIEWER) -> None:
        super().__init__()
        self._stream = stream
        self._protocol = protocol
        self._role = role
        self._reader: Reader | None = None

    async def recv(self) -> av.Packet[Any]:
        """The next packet in the form that aiortc packetises by itself. Raises MediaStreamError."""
        encoded = await self.next()
        packet: av.Packet[Any] = av.Packet(encoded.data)
        packet.pts = encoded.timestamp
        packet.dts = encoded.timestamp
        packet.time_base = _TIME_BASE
        return packet

    async def next(self) -> EncodedPacket:
        """The next packet. Raises MediaStreamError, the one exception that aiortc takes as a regular end."""
        if self.readyState != "live":
            raise MediaStreamError
        try:
            if self._reader is None:
                self._reader = self._stream.subscribe(self._protocol, role=self._role)
                self.emit("started")
            return await self._reader.get()
        except StreamClosedError:
            self.emit("exhausted")
            self.stop()
            raise MediaStreamError from None

    def stop(self) -> None:
        if self._reader is not None:
            self._reader.close()
        super().stop()
