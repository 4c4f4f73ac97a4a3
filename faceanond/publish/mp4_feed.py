"""One viewer's fragmented MP4, picture by picture: from a reader to what an HTTP answer or a WebSocket carries.

Two ways to say how long a picture lasts, which MP4 demands and nobody knows while the next one has not come:

- EXACT waits for the next picture. Each fragment is right, also in a file, and one picture late. For players.
- AT_ONCE says HOLD, more than it will be, and the next picture cuts it short. For Media Source Extensions, whose
  buffers take overlaps and throw everything away up to the next keyframe when two pictures are further apart than twice
  the duration of the first (measured with a guessed duration: three of four pictures were lost).

A pause of the camera is shortened for the viewer, in either way: a player's clock stands while nothing comes, and must
not stay behind by the pause for the rest of the day.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from faceanond.publish import fmp4, h264
from faceanond.publish.packet import CLOCK_RATE, EncodedPacket
from faceanond.publish.stream import Stream

PROTOCOL = "mp4"
HOLD = CLOCK_RATE // 2
"""Ticks that a picture lasts AT_ONCE. Chromium takes any; Firefox shows pictures late when it is longer (2 s: 1.6 s)
and is content with this."""


@dataclass(frozen=True, slots=True)
class Timing:
    """`longest` is the longest pause in ticks; `wait` whether a picture waits for the next one."""

    wait: bool
    longest: int


EXACT = Timing(wait=True, longest=2 * CLOCK_RATE)
AT_ONCE = Timing(wait=False, longest=HOLD)


class SizeChangedError(Exception):
    """The pictures have another size from here on; a player must begin anew."""


class Mp4Feed:
    """Subscribes to a stream for one viewer; leaving the context unsubscribes.

    `start` first, then `get` for ever. Both raise StreamClosedError when the camera's stream has ended, the constructor
    when it had; cancelling them loses nothing.
    """

    def __init__(self, stream: Stream, timing: Timing) -> None:
        self._timing = timing
        self._reader = stream.subscribe(PROTOCOL)
        self._size = (0, 0)
        self._held: EncodedPacket | None = None
        """The picture whose fragment is still to be made."""
        self._last = 0
        """Time of the picture before."""
        self._origin = 0
        self._fragments = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    async def start(self) -> tuple[str, bytes]:
        """Waits for a keyframe; gives the media type with its codec, and the initialisation segment.

        Once more after SizeChangedError: then of the new size, with the times going on.
        """
        while True:
            packet = self._held = await self._reader.get() if self._held is None else self._held
            sets = h264.parameter_sets(packet.data)
            if sets is not None:
                break
            self._held = None
        if self._fragments == 0:
            self._origin = self._last = packet.timestamp
        self._size = packet.width, packet.height
        return f'video/mp4; codecs="{fmp4.codec(sets)}"', fmp4.init_segment(sets, packet.width, packet.height)

    async def get(self) -> bytes:
        """The next picture as a fragment. Raises SizeChangedError when the next one has another size."""
        return await (self._exact() if self._timing.wait else self._at_once())

    async def _exact(self) -> bytes:
        assert self._held is not None, "start first"
        following = await self._reader.get()
        packet, self._held = self._held, following
        self._check(following)
        lasting = min(following.timestamp - packet.timestamp, self._timing.longest)
        fragment = self._fragment(packet, lasting)
        self._origin += following.timestamp - packet.timestamp - lasting
        return fragment

    async def _at_once(self) -> bytes:
        if self._held is None:
            self._held = await self._reader.get()
        self._check(self._held)
        packet, self._held = self._held, None
        self._origin += max(0, packet.timestamp - self._last - self._timing.longest)
        self._last = packet.timestamp
        return self._fragment(packet, HOLD)

    def _check(self, packet: EncodedPacket) -> None:
        if (packet.width, packet.height) != self._size:
            raise SizeChangedError(f"the pictures have {packet.width}x{packet.height} pixels now")

    def _fragment(self, packet: EncodedPacket, lasting: int) -> bytes:
        self._fragments += 1
        return fmp4.fragment(self._fragments, [packet], origin=self._origin, end=packet.timestamp + lasting)
