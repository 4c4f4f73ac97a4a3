"""A camera that goes takes its waiting frame along; the detector's time belongs to those who stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from faceanond.capture.source import StreamInfo
from faceanond.config.model import Camera, DetectOptions
from faceanond.config.types import Source
from faceanond.errors import SourceFault
from faceanond.frames import Verdict
from faceanond.inference.batcher import Batcher
from faceanond.pipeline.camera import CameraPipeline
from faceanond.publish.stream import Reader
from tests.conftest import FakeClock, settle
from tests.inference.fakes import FakeDetector
from tests.pictures import raw_frame


@dataclass
class Scene:
    """A camera's pipeline in front of a detector that is busy with another camera's frame."""

    pipeline: CameraPipeline
    running: asyncio.Task[None]
    batcher: Batcher
    detector: FakeDetector
    reader: Reader

    async def feed(self, index: int) -> None:
        self.pipeline.feed(raw_frame(index, camera="lobby"))
        await settle()


@asynccontextmanager
async def busy(clock: FakeClock) -> AsyncIterator[Scene]:
    detector = FakeDetector(lambda request: ())
    detector.hold.clear()
    batcher = Batcher(detector, max_batch=4, timeout=5.0, clock=clock)
    settings = Camera.model_validate({"source": Source("demo", ""), "track": {"enabled": False}})
    pipeline = CameraPipeline("lobby", settings, detector=batcher, clock=clock)
    reader = pipeline.stream.subscribe("test")
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(batcher.run(), name="batcher")
        other = group.create_task(batcher.detect(raw_frame(camera="yard"), DetectOptions()), name="yard")
        await asyncio.to_thread(detector.entered.acquire)
        running = group.create_task(pipeline.run(), name="pipeline")
        await settle()
        pipeline.opened(StreamInfo("h264", 320, 240, 25.0, live=True))
        try:
            yield Scene(pipeline, running, batcher, detector, reader)
        finally:
            detector.hold.set()
            await other
            running.cancel()
            await asyncio.wait([running])
            await pipeline.close()
            serving.cancel()


async def test_a_lost_cameras_frame_leaves_the_queue_and_is_not_published(clock: FakeClock) -> None:
    async with busy(clock) as scene:
        await scene.feed(0)
        assert scene.batcher.statistics().queue_length == 1
        scene.pipeline.lost(SourceFault.STALLED, "gone", 1.0)
        await settle()
        assert scene.batcher.statistics().queue_length == 0
        scene.detector.hold.set()
        await scene.feed(1)
        packet = await asyncio.wait_for(scene.reader.get(), 10)
        assert packet.verdict is Verdict.CLEAN, "neither concealed nor missing: the next picture goes its way"
        assert scene.pipeline.last_sealed is not None
        assert scene.pipeline.last_sealed.source == raw_frame(1, camera="lobby").id
        assert scene.pipeline.status().dropped["detect", "stopped"] == 1
    assert scene.detector.cameras[:2] == [["yard"], ["lobby"]]


async def test_a_stopped_pipelines_frame_leaves_the_queue(clock: FakeClock) -> None:
    async with busy(clock) as scene:
        await scene.feed(0)
        scene.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scene.running
        assert scene.batcher.statistics().queue_length == 0
    assert scene.detector.cameras == [["yard"]]
