"""Runs whole cameras through the daemon's own pipelines, to see what joining the stages costs and whether they hold.

Everything is as in `faceanond run`, except that nobody watches (no pages, no viewers, no self-tests), and that the
cameras send at a pace that fills the machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass

from faceanond.capture.options import target
from faceanond.capture.pacing import Pacer, Wait
from faceanond.capture.pyav_source import PyAvSource
from faceanond.capture.source import Source
from faceanond.clock import Clock
from faceanond.config.model import Camera
from faceanond.config.model import Detector as DetectorConfig
from faceanond.daemon.bench.figures import Together
from faceanond.daemon.supervisor import Supervisor
from faceanond.detect.protocol import Detector
from faceanond.frames import Verdict
from faceanond.inference.batcher import Batcher
from faceanond.pipeline.camera import CameraPipeline

STARTS_WITHIN = 10.0
"""Seconds in which every camera has had a picture published, unless the machine is far too slow for them."""
SETTLE = 1.0
"""Seconds after the last camera's first picture that are not counted: what piled up while they were opened goes out."""
LOOK = 0.05
"""Seconds between two looks whether all cameras have begun."""
LOOKED = (Verdict.CLEAN, Verdict.MASKED, Verdict.COASTED)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Of all cameras, since the start."""

    time: float
    cpu: float
    captured: int
    looked: int
    concealed: int
    batches: int
    in_batches: float


class PlayedAt(Pacer):
    """Lets a recording run faster or slower: `speed` 2 is twice its own pace."""

    def __init__(self, clock: Clock, *, speed: float, longest: float, wait: Wait | None = None) -> None:
        super().__init__(clock, longest=longest, wait=wait)
        self._speed = speed

    def until(self, time: float, *, ahead: float = 0.0) -> bool:
        return super().until(time / self._speed, ahead=ahead)


async def run_together(
    detector: Detector,
    settings: DetectorConfig,
    camera: Camera,
    *,
    cameras: int,
    rate: float,
    speed: float,
    seconds: float,
    clock: Clock,
) -> Together:
    """So many cameras that show this file, for so long after they have begun, each with `rate` frames a second, which
    is `speed` times the file's own. Raises what the daemon would end for."""

    def source(name: str, camera: Camera, generation: int) -> Source:
        pacer = PlayedAt(clock, speed=speed, longest=camera.timeout / 2)
        return PyAvSource(name, target(camera), generation=generation, clock=clock, timeout=camera.timeout, pacer=pacer)

    batcher = Batcher(detector, max_batch=settings.max_batch, timeout=settings.timeout, clock=clock)
    pipelines = {
        name: CameraPipeline(name, camera, detector=batcher, clock=clock)
        for name in (f"bench-{number}" for number in range(cameras))
    }
    try:
        async with asyncio.TaskGroup() as tasks:
            inference = tasks.create_task(batcher.run(), name="inference")
            running = tasks.create_task(Supervisor(pipelines, clock=clock, make=source).run(), name="cameras")
            await _begun(pipelines.values(), clock)
            await clock.sleep(SETTLE)
            before = _count(pipelines.values(), batcher, clock)
            await clock.sleep(seconds)
            after = _count(pipelines.values(), batcher, clock)
            running.cancel()
            await asyncio.wait([running])
            inference.cancel()
    finally:
        for pipeline in pipelines.values():
            await pipeline.close()
    return _between(before, after, cameras, rate)


async def _begun(pipelines: Collection[CameraPipeline], clock: Clock) -> None:
    """Returns when every camera has had a picture published, or when that takes too long."""
    end = clock.monotonic() + STARTS_WITHIN
    while clock.monotonic() < end and not all(_looked(pipeline) for pipeline in pipelines):
        await clock.sleep(LOOK)


def _looked(pipeline: CameraPipeline) -> int:
    published = pipeline.status().published
    return sum(published.get(verdict, 0) for verdict in LOOKED)


def _count(pipelines: Collection[CameraPipeline], batcher: Batcher, clock: Clock) -> _Counts:
    sizes = batcher.statistics().batch_size
    return _Counts(
        time=clock.monotonic(),
        cpu=time.process_time(),
        captured=sum(pipeline.status().captured for pipeline in pipelines),
        looked=sum(map(_looked, pipelines)),
        concealed=sum(pipeline.status().published.get(Verdict.FULL, 0) for pipeline in pipelines),
        batches=sizes.count,
        in_batches=sizes.total,
    )


def _between(before: _Counts, after: _Counts, cameras: int, rate: float) -> Together:
    batches = after.batches - before.batches
    return Together(
        cameras=cameras,
        rate=rate,
        seconds=after.time - before.time,
        captured=after.captured - before.captured,
        looked=after.looked - before.looked,
        concealed=after.concealed - before.concealed,
        cpu_seconds=after.cpu - before.cpu,
        batch=(after.in_batches - before.in_batches) / batches if batches else 0.0,
    )
