"""Where a scene meets the real thing: the only place here that builds a pipeline and drives it.

Time is simulated: a frame comes at its own moment, and no moment passes before the stages have taken it, unless a
scene is about just that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.capture.source import StreamInfo
from faceanond.config.model import Camera
from faceanond.config.types import Source
from faceanond.detect.protocol import Detector
from faceanond.frames import FrameId, RawFrame, Verdict
from faceanond.inference.batcher import Batcher
from faceanond.pipeline import camera as live
from faceanond.pipeline.camera import CameraPipeline
from faceanond.pipeline.file import FilePipeline, Report, Tally
from faceanond.pipeline.follow import Follower
from faceanond.pipeline.judge import Judged
from faceanond.publish.file import FileWriter
from faceanond.publish.packet import EncodedPacket
from faceanond.status import CameraStatus
from tests.conftest import FakeClock, settle
from tests.scenes.scene import CAMERA, FPS, START

TIMEOUT = 1.0
"""Seconds that the shared queue gives a frame: the default of `detector.timeout`."""
PATIENCE = 20.0
"""Real seconds after which a test gives up on a pipeline that takes no frame."""
STALLED = 1.0
"""Real seconds in which no frame is judged, after which simulated time goes on."""
SEALED = 0.05
"""Real seconds in which what left the delay line is expected to be published, before simulated time goes on. A thread
that is too slow for that costs a test nothing but a picture that is held."""
FLUSH = 2.0
"""Simulated seconds after the last frame: longer than any look-ahead."""


def camera(**settings: object) -> Camera:
    """One camera's settings without a legend, which would only disturb what is measured."""
    tables = {"anonymise": {"legend": ()}, **settings}
    tables["anonymise"] = {"legend": (), **tables["anonymise"]}  # type: ignore[dict-item]
    return Camera.model_validate({"source": Source("demo", ""), **tables})


def camera_pipeline(settings: Camera, detector: Any, clock: FakeClock) -> tuple[CameraPipeline, Watched]:
    """A live camera's pipeline, and its follower while it runs for the first time."""
    with mock.patch.object(live, "Follower", Watched):
        pipeline = CameraPipeline(CAMERA, settings, detector=detector, clock=clock)
    follower = pipeline._follower
    assert isinstance(follower, Watched)
    return pipeline, follower


def file_pipeline(
    source: Any, settings: Camera, detector: Any, writer: FileWriter, report: Report | None, clock: FakeClock
) -> FilePipeline:
    return FilePipeline(
        source=source,
        detector=detector,
        options=settings.detector,
        track=settings.track,
        anonymiser=Anonymiser(CAMERA, settings.anonymise, settings.zones, clock=clock),
        writer=writer,
        report=report,
    )


@dataclass
class Footage:
    """What left a pipeline."""

    packets: list[EncodedPacket] = field(default_factory=list)
    status: CameraStatus | None = None
    failure: BaseException | None = None
    """What ended the pipeline, if not the test."""

    @property
    def verdicts(self) -> list[Verdict]:
        return [packet.verdict for packet in self.packets]


class Watched(Follower):
    """A camera's follower, watched: tells when it has done with a frame, whether it asked the detector or not."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._done: set[FrameId] = set()
        self._changed = asyncio.Event()

    async def judge(self, frame: RawFrame) -> Judged | None:
        try:
            return await super().judge(frame)
        finally:
            self._done.add(frame.id)
            self._changed.set()

    async def judged(self, frame: FrameId) -> None:
        """Waits until that frame is in the delay line, or was given up."""
        while frame not in self._done:
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def serving(detector: Detector, clock: FakeClock) -> AsyncIterator[Batcher]:
    """The shared queue in front of a detector; its end is not waited for, since a detector may hang."""
    batcher = Batcher(detector, max_batch=4, timeout=TIMEOUT, clock=clock)
    task = asyncio.get_running_loop().create_task(batcher.run(), name="batcher")
    try:
        yield batcher
    finally:
        task.cancel()
        await asyncio.wait([task])


async def shoot(
    frames: Sequence[RawFrame],
    detector: Any,
    clock: FakeClock,
    settings: Camera,
    *,
    patient: bool = True,
    before: Mapping[FrameId, Callable[[CameraPipeline], None]] = MappingProxyType({}),
) -> Footage:
    """Feeds the frames to a live camera's pipeline and keeps what a viewer gets.

    `detector` is what pipelines share (the queue, or something in its place). Without patience the frames come at
    their moments whatever the stages do, as from a real camera. `before` happens when that frame's moment has come.
    """
    footage = Footage()
    pipeline, follower = camera_pipeline(settings, detector, clock)
    reader = pipeline.stream.subscribe("test")

    came = asyncio.Event()

    async def read() -> None:
        while True:
            footage.packets.append(await reader.get())
            came.set()

    async def published(fed: int) -> bool:
        """Waits until no frame is between the delay line and the viewer. Whether all of them have been published."""
        await settle()
        with suppress(TimeoutError):
            async with asyncio.timeout(SEALED):
                while _out(pipeline) + len(follower) < fed and not running.done():
                    came.clear()
                    await came.wait()
        return _out(pipeline) >= fed

    loop = asyncio.get_running_loop()
    running = loop.create_task(pipeline.run(), name="pipeline")
    reading = loop.create_task(read(), name="viewer")
    await settle()
    pipeline.opened(StreamInfo("h264", *frames[0].size, FPS, live=True))
    try:
        for fed, frame in enumerate(frames, 1):
            await clock.advance(max(0.0, frame.captured - clock.monotonic()))
            if frame.id in before:
                before[frame.id](pipeline)
            pipeline.feed(frame)
            if patient:
                await _taken(frame, follower, running, clock)
                await published(fed)
            else:
                await _breathe()
        end = clock.monotonic() + FLUSH
        while clock.monotonic() < end and not running.done():
            if patient and await published(len(frames)):
                break
            await _breathe(0 if patient else 5)
            await clock.advance(1 / FPS)
        footage.status = pipeline.status()
        if running.done() and not running.cancelled():
            footage.failure = running.exception()
    finally:
        running.cancel()
        await asyncio.wait([running])
        await settle()
        reading.cancel()
        await asyncio.wait([reading])
        await pipeline.close()
    return footage


def _out(pipeline: CameraPipeline) -> int:
    """How many frames of the camera have been published or left out."""
    status = pipeline.status()
    shown = sum(count for verdict, count in status.published.items() if verdict is not Verdict.HELD)
    return shown + sum(status.dropped.values())


async def _breathe(moments: int = 1) -> None:
    """Real time for the threads of sealing and detecting, which no simulated clock can hurry."""
    for _ in range(moments):
        await asyncio.sleep(0.001)


async def _taken(frame: RawFrame, follower: Watched, running: asyncio.Task[None], clock: FakeClock) -> None:
    """Waits until the pipeline has had the frame judged, or has ended.

    A delay line that is full takes no more frames until time passes; so when nothing happens, it does.
    """
    judged = asyncio.get_running_loop().create_task(follower.judged(frame.id), name="judged")
    for _ in range(int(PATIENCE / STALLED)):
        done, _ = await asyncio.wait([judged, running], timeout=STALLED, return_when=asyncio.FIRST_COMPLETED)
        if done:
            break
        await clock.advance(1 / FPS)
    assert judged.done() or running.done(), f"nobody judged {frame.id}"
    judged.cancel()


class Reel:
    """Frames as the source of a file."""

    def __init__(self, frames: Sequence[RawFrame]) -> None:
        self._frames = iter(frames)

    def open(self) -> StreamInfo:
        raise NotImplementedError

    def read(self) -> RawFrame | None:
        return next(self._frames, None)

    def interrupt(self) -> None:
        return

    def close(self) -> None:
        return


async def convert(frames: Sequence[RawFrame], detector: Any, clock: FakeClock, settings: Camera, target: Path) -> Tally:
    """Runs the frames through a file's pipeline into `target`, with a report beside it."""
    clock.move(max(0.0, START - clock.monotonic()))
    with Report(target.with_suffix(".jsonl")) as report, FileWriter(target, fps=FPS) as writer:
        return await file_pipeline(Reel(frames), settings, detector, writer, report, clock).run()
