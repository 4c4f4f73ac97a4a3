"""Keeps each camera running: connects, reconnects with back-off, and lets no camera's trouble reach another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from faceanond.attempt import attempt
from faceanond.backoff import Backoff
from faceanond.capture.factory import make_source
from faceanond.capture.source import Source
from faceanond.capture.thread import abandoned, capture
from faceanond.clock import Clock
from faceanond.config.model import Camera
from faceanond.errors import FaceanondError, SourceError, SourceFault
from faceanond.pipeline.camera import CameraPipeline
from faceanond.ratelimit import RateLimited
from faceanond.status import CameraState

log = structlog.get_logger(__name__)

ABANDONED_LIMIT = 16
"""Capture threads that may hang for good before the process asks to be restarted: each holds a socket and a decoder."""

TOLD_EVERY = 300.0
"""Seconds between two log lines about a camera that stays away: forty of them behind a dead switch are no flood."""

MakeSource = Callable[[str, Camera, int], Source]


class Supervisor:
    """Runs every camera of a fleet until cancelled. Raises only when the process as a whole should be restarted."""

    def __init__(
        self, pipelines: Mapping[str, CameraPipeline], *, clock: Clock, make: MakeSource | None = None
    ) -> None:
        self._pipelines = pipelines
        self._clock = clock
        self._make = make or self._real_source

    async def run(self) -> None:
        """One task per camera."""
        async with asyncio.TaskGroup() as tasks:
            for name, pipeline in self._pipelines.items():
                tasks.create_task(self._camera(pipeline), name=f"camera:{name}")

    async def _camera(self, pipeline: CameraPipeline) -> None:
        """A camera's stages and its capture, begun anew when a defect ends them."""
        backoff = Backoff()
        while True:
            started = self._clock.monotonic()
            # The edge between one camera's defects and the fleet.
            error = await attempt(self._stages(pipeline), name=f"stages:{pipeline.name}")
            if isinstance(error, ExceptionGroup) and (fatal := error.subgroup(TooManyAbandonedError)) is not None:
                raise fatal
            delay = backoff.failed(self._clock.monotonic() - started)
            log.error("camera's pipeline failed", camera=pipeline.name, retry_in=round(delay, 1), exc_info=error)
            pipeline.lost(SourceFault.INTERNAL, "internal error; see the log", delay)
            await self._clock.sleep(delay)

    async def _stages(self, pipeline: CameraPipeline) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pipeline.run(), name=f"pipeline:{pipeline.name}")
            tasks.create_task(self._capture(pipeline), name=f"capture:{pipeline.name}")

    async def _capture(self, pipeline: CameraPipeline) -> None:
        backoff = Backoff()
        last: SourceFault | None = None
        trouble = RateLimited[SourceError](interval=TOLD_EVERY)
        while True:
            started = self._clock.monotonic()
            try:
                await self._capture_once(pipeline)
            except SourceError as error:
                if abandoned() > ABANDONED_LIMIT:
                    raise TooManyAbandonedError(
                        f"{abandoned()} capture threads hang in their libraries; the process must be restarted"
                    ) from error
                now = self._clock.monotonic()
                delay = backoff.failed(now - started)
                if pipeline.figures.state is CameraState.LIVE or error.fault is not last:
                    # A new trouble is told at once.
                    trouble = RateLimited(interval=TOLD_EVERY)
                last = error.fault
                pipeline.lost(error.fault, str(error), delay)
                if told := trouble.note(error, now):
                    log.warning(
                        "camera lost",
                        camera=pipeline.name,
                        reason=error.fault.value,
                        detail=str(error),
                        attempts=told.count,
                        retry_in=round(delay, 1),
                    )
                await self._clock.sleep(delay)

    async def _capture_once(self, pipeline: CameraPipeline) -> None:
        """One honest attempt. Ends with a SourceError."""
        pipeline.connecting()
        source = self._make(pipeline.name, pipeline.settings, pipeline.next_generation())
        await capture(
            source,
            pipeline.feed,
            camera=pipeline.name,
            timeout=pipeline.settings.timeout,
            clock=self._clock,
            on_open=pipeline.opened,
        )

    def _real_source(self, name: str, settings: Camera, generation: int) -> Source:
        return make_source(name, settings, generation=generation, clock=self._clock)


class TooManyAbandonedError(FaceanondError):
    """Too many threads hang; only a new process gets rid of them."""
