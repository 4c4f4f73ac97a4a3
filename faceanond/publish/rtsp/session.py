"""One player: from SETUP to TEARDOWN, at most one at a time on a connection.

    ready --PLAY--> playing --PAUSE--> ready

While it plays, one task carries packets from the stream's reader to the delivery. The connection owns the session and
ends it; a session never outlives its connection, so nothing is left behind by a player that vanishes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any, TypeVar

from faceanond.clock import Clock
from faceanond.publish import rtp
from faceanond.publish.deadline import within
from faceanond.publish.packet import EncodedPacket
from faceanond.publish.rtp import Packetiser, RtcpError
from faceanond.publish.rtsp.delivery import Delivery
from faceanond.publish.rtsp.reports import Reports
from faceanond.publish.stream import Reader, Stream, StreamClosedError

T = TypeVar("T")

TIMEOUT = 60
"""Seconds without a sign of life; announced to the player, which sends one in half that time."""
FIRST_PICTURE = 2.0
"""Seconds that DESCRIBE and PLAY wait for the encoder's first output: the keyframe spacing and some frames."""
REFUSED = 10.0
"""Seconds for a player whose machine answers that its port is closed: it was killed."""
LEFT = 2.0
"""Seconds after a player's RTCP BYE in which its TEARDOWN may still come."""
TOO_SLOW = 60.0
"""Seconds of losing pictures after which a player over TCP is dropped: its line does not carry the stream."""
RECOVERED = 10.0
"""Seconds without a loss that end such a time."""
PROTOCOL = "rtsp"
"""How its viewers are counted."""


async def soon(clock: Clock, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` gives within FIRST_PICTURE; None when it takes longer, which cancels it, or its stream is closed."""
    try:
        return await within(clock, FIRST_PICTURE, work, TimeoutError())
    except (TimeoutError, StreamClosedError):
        return None


class Session:
    """A player that has been set up. `end` must be called."""

    def __init__(self, stream: Stream, *, clock: Clock) -> None:
        self.id = secrets.token_hex(8)
        self.stream = stream
        self.packetiser = Packetiser(
            ssrc=secrets.randbits(32), sequence=secrets.randbits(16), offset=secrets.randbits(32)
        )
        self._clock = clock
        self._delivery: Delivery | None = None
        self._reader: Reader | None = None
        self._pump: asyncio.Task[None] | None = None
        self._heard = clock.monotonic()
        self._lost = 0
        # Since when it loses pictures, and when it last did; None while it loses none.
        self._losing: tuple[float, float] | None = None
        self._left: float | None = None
        self._reports = Reports(self.packetiser, camera=stream.camera, clock=clock)

    @property
    def playing(self) -> bool:
        return self._reader is not None

    @property
    def delivery(self) -> Delivery:
        assert self._delivery is not None, "a session is used only after SETUP"
        return self._delivery

    def set_up(self, delivery: Delivery) -> None:
        """Takes the way out; a second SETUP replaces the first."""
        if self._delivery is not None:
            self._delivery.close()
        self._delivery = delivery

    def touch(self) -> None:
        """A request: a sign of life."""
        self._heard = self._clock.monotonic()
        self._left = None

    def rtcp(self, data: bytes) -> None:
        """What the player says over RTCP: a sign of life, unless it is nonsense or a goodbye."""
        try:
            said = rtp.parse_rtcp(data)
        except RtcpError:
            return
        self._heard = self._clock.monotonic()
        if said.goodbye and self._left is None:
            self._left = self._heard
        if said.keyframe and self.playing:
            self.stream.request_keyframe()

    def overdue(self) -> str | None:
        """Why the player must be gone; None while it need not be. Asked every second.

        Over TCP a player that reads is alive, whatever it says: many never send anything. The connection notices one
        that does not read; here one is noticed that reads too slowly.
        """
        now = self._clock.monotonic()
        silent = now - self._heard
        if self._left is not None and now - self._left >= LEFT:
            return "it said goodbye"
        if self._delivery is None:
            return None
        if self._reader is not None and self._delivery.name == "tcp":
            return "its line is too slow for the stream" if self._loses(self._reader, now) else None
        if self._delivery.refused_at is not None and silent >= REFUSED:
            return "its port is closed"
        return "no sign of life" if silent >= TIMEOUT else None

    def _loses(self, reader: Reader, now: float) -> bool:
        """Whether it has been losing pictures for too long."""
        if reader.dropped != self._lost:
            self._lost = reader.dropped
            self._losing = (self._losing[0] if self._losing is not None else now, now)
        elif self._losing is not None and now - self._losing[1] >= RECOVERED:
            self._losing = None
        return self._losing is not None and self._losing[1] - self._losing[0] >= TOO_SLOW

    async def cue(self) -> EncodedPacket | None:
        """Subscribes and waits a moment for the first packet; None when it does not come. Raises StreamClosedError."""
        self._reader = self.stream.subscribe(PROTOCOL)
        self._lost, self._losing = 0, None
        return await soon(self._clock, self._reader.get())

    def start(self, first: EncodedPacket | None, tasks: asyncio.TaskGroup) -> None:
        """Starts to send, `first` before what the reader holds."""
        assert self._reader is not None
        self._reports.restart()
        self._pump = tasks.create_task(self._carry(self._reader, first), name=f"rtsp play:{self.stream.camera}")

    async def pause(self) -> None:
        """Stops sending; the numbering goes on when it plays again."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])
            self._pump = None

    def end(self) -> None:
        """Says goodbye and frees everything; safe twice."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._delivery is not None:
            if self.packetiser.packets:
                self._delivery.send_rtcp(rtp.goodbye(self.packetiser, cname=self.stream.camera))
            self._delivery.close()
            self._delivery = None

    async def _carry(self, reader: Reader, packet: EncodedPacket | None) -> None:
        """Raises StreamClosedError when the camera was taken away, ConnectionError when the player is gone."""
        while True:
            if packet is None:
                packet = await reader.get()
            # The report first: a player that learns the wall-clock time only after the first pictures may begin anew
            # then and wait for the next keyframe (VLC does).
            if (report := self._reports.due(packet)) is not None:
                self.delivery.send_rtcp(report)
            self.delivery.send(self.packetiser.pack(packet))
            packet = None
            await self.delivery.ready()
