"""One camera's second encoding: the same sealed pictures in VP8, while a viewer needs it and not otherwise.

It has a thread of its own, so that viewers of the H.264 stream never wait for it, and no queue: when it is slower than
the camera, the newest picture waits and the others are left out. Without a viewer it costs one comparison a picture.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.clock import Clock
from faceanond.config.model import Encode
from faceanond.errors import EncodeError
from faceanond.publish.packet import Codec, EncodedPacket
from faceanond.publish.stream import ENDED, Stream
from faceanond.publish.vp8 import Vp8Encoder
from faceanond.ratelimit import RateLimited

log = structlog.get_logger(__name__)

LINGER = 2.0
"""Seconds after the last viewer for which the encoder stays open: a page that is loaded anew comes back sooner."""
STUCK_AFTER = 10.0
"""Seconds that one picture may take before the thread is given up, together with the encoder."""
CLOSING = 2.0
"""Seconds for the encoder to be freed."""


class SecondEncoding:
    """Encodes what is offered to it for the readers of its `stream`, as long as `run` runs."""

    def __init__(self, camera: str, settings: Encode, *, clock: Clock) -> None:
        self.stream = Stream(camera, clock=clock, codec=Codec.VP8)
        self.dropped: Counter[tuple[str, str]] = Counter()
        """Pictures that were not encoded, by stage and reason."""
        self._camera = camera
        self._settings = settings
        self._clock = clock
        self._encoder = self._new_encoder()
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: AnonymisedFrame | None = None
        self._arrived = asyncio.Event()
        self._needed = -math.inf
        self._failed = RateLimited[str]()

    @property
    def active(self) -> bool:
        """Whether the encoder has its thread now."""
        return self._thread is not None

    def offer(self, frame: AnonymisedFrame) -> None:
        """The camera's next sealed picture. Never waits; a picture that still waits is left out."""
        if not self.stream.readers and not self.active:
            return
        if self._waiting is not None:
            self.dropped["encode", "vp8_late"] += 1
        self._waiting = frame
        self._arrived.set()

    async def run(self) -> None:
        """Encodes until cancelled. A picture that cannot be encoded is counted and left out."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                frame, self._waiting = self._waiting, None
                now = self._clock.monotonic()
                if self.stream.readers:
                    self._needed = now
                    if frame is not None:
                        await self._encode(frame)
                elif now - self._needed >= LINGER:
                    await self._release()
        finally:
            self._waiting = None
            await self._release()

    def close(self, reason: str = ENDED) -> None:
        """Ends the viewers' streams, for that reason."""
        self.stream.close(reason)

    async def _encode(self, frame: AnonymisedFrame) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"vp8:{self._camera}")
            log.info("second encoding started", camera=self._camera, codec=self.stream.codec.value)
        keyframe = self.stream.take_keyframe_request()
        work = partial(self._encoder.encode, frame, keyframe=keyframe)
        packets: list[EncodedPacket] = []
        try:
            async with asyncio.timeout(STUCK_AFTER):
                packets = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError:
            self._fail(f"a picture was not encoded within {STUCK_AFTER:.0f} s", keyframe=True)
            self._abandon()
        except EncodeError as error:
            self._fail(str(error), keyframe=keyframe)
        for packet in packets:
            self.stream.write(packet)

    def _fail(self, reason: str, *, keyframe: bool) -> None:
        self.dropped["encode", "vp8_failed"] += 1
        if told := self._failed.note(reason, self._clock.monotonic()):
            log.error("second encoding failed", camera=self._camera, frames=told.count, reason=told.last)
        if keyframe:
            self.stream.request_keyframe()

    async def _release(self) -> None:
        if self._thread is None:
            return
        try:
            async with asyncio.timeout(CLOSING):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._encoder.close)
        except TimeoutError:
            self._abandon()
            return
        self._thread.shutdown(wait=False)
        self._thread = None
        log.info("second encoding ended", camera=self._camera, codec=self.stream.codec.value)

    def _abandon(self) -> None:
        """Leaves a thread that hangs, with its encoder, to the process's end."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
        self._thread = None
        self._encoder = self._new_encoder()

    def _new_encoder(self) -> Vp8Encoder:
        return Vp8Encoder(self._camera, self._settings, clock=self._clock)
