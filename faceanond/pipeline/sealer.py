"""The blocking half of one camera: sealing and encoding, in one named thread.

Both belong to the same thread because an encoder must get its frames in order, and because a picture that was sealed
is still in that core's cache when it is encoded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.clock import Clock
from faceanond.config.model import Camera
from faceanond.errors import EncodeError
from faceanond.publish.encoder import Encoder
from faceanond.publish.packet import EncodedPacket
from faceanond.stats import HistogramSnapshot

STUCK_AFTER = 10.0
"""Seconds that one frame may take to be sealed and encoded before the thread is given up: a thousand times its cost."""


class SealerStuckError(EncodeError):
    """The thread did not come back; it must be replaced, together with everything that it uses."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What came of one frame: the picture that may be seen, and its packets (none when encoding failed)."""

    frame: AnonymisedFrame
    packets: list[EncodedPacket]
    failure: str | None


class Sealer:
    """Owns a camera's anonymiser, encoder and thread. `close` ends all three."""

    def __init__(self, camera: str, settings: Camera, *, clock: Clock) -> None:
        self._camera = camera
        self._anonymiser = Anonymiser(camera, settings.anonymise, settings.zones, clock=clock)
        self._encoder = Encoder(camera, settings.encode, clock=clock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"seal:{camera}")

    async def seal(self, make: Callable[[Anonymiser], AnonymisedFrame], *, keyframe: bool) -> Sealed:
        """Makes a frame with the anonymiser and encodes it. Raises SealerStuckError when the thread hangs."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(STUCK_AFTER):
                return await loop.run_in_executor(self._thread, self._work, make, keyframe)
        except TimeoutError:
            raise SealerStuckError(
                f"camera {self._camera}: a frame was not sealed and encoded within {STUCK_AFTER:.0f} s"
            ) from None

    def _work(self, make: Callable[[Anonymiser], AnonymisedFrame], keyframe: bool) -> Sealed:
        frame = make(self._anonymiser)
        try:
            return Sealed(frame, self._encoder.encode(frame, keyframe=keyframe), None)
        except EncodeError as error:
            return Sealed(frame, [], str(error))

    def encode_seconds(self) -> HistogramSnapshot:
        """Time spent in the encoder."""
        return self._encoder.encode_seconds.snapshot()

    async def close(self) -> None:
        """Frees the encoder and ends the thread; a thread that hangs is left to the process's end."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(2.0):
                await loop.run_in_executor(self._thread, self._encoder.close)
        except TimeoutError:
            self._thread.shutdown(wait=False, cancel_futures=True)
            return
        self._thread.shutdown(wait=False)
