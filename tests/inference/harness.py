"""A batcher that runs, and cameras that ask it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from faceanond.config.model import DetectOptions
from faceanond.errors import DetectionError
from faceanond.frames import Face
from faceanond.inference.batcher import Batcher
from tests.conftest import FakeClock, settle
from tests.inference.fakes import FakeDetector, frame

OPTIONS = DetectOptions()


@contextlib.asynccontextmanager
async def serving(detector: FakeDetector, clock: FakeClock, *, max_batch: int = 4) -> AsyncIterator[Batcher]:
    batcher = Batcher(detector, max_batch=max_batch, timeout=1.0, clock=clock)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(batcher.run(), name="batcher")
        try:
            yield batcher
        finally:
            detector.hold.set()
            task.cancel()


async def entered(detector: FakeDetector) -> None:
    """Waits until the detector works on its next batch."""
    await asyncio.to_thread(detector.entered.acquire)


class Asking:
    """Cameras that ask; the answers by camera and index, each the faces or the reason of the error."""

    def __init__(self, group: asyncio.TaskGroup, batcher: Batcher) -> None:
        self._group, self._batcher = group, batcher
        self.answers: dict[tuple[str, int], tuple[Face, ...] | str] = {}

    async def __call__(self, *cameras: str, index: int = 0) -> list[asyncio.Task[None]]:
        """Every camera asks, in this order."""
        tasks = [self._group.create_task(self._ask(camera, index), name=f"ask {camera}") for camera in cameras]
        await settle()
        return tasks

    async def _ask(self, camera: str, index: int) -> None:
        try:
            detections = await self._batcher.detect(frame(camera, index), OPTIONS)
        except DetectionError as error:
            self.answers[camera, index] = error.reason
        else:
            assert detections.frame == frame(camera, index).id
            self.answers[camera, index] = detections.faces
