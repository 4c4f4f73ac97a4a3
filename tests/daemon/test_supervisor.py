from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from faceanond.backoff import LONGEST
from faceanond.capture.source import StreamInfo
from faceanond.config.model import Camera, DetectOptions, Track
from faceanond.config.types import Source as SourceUrl
from faceanond.daemon import supervisor as module
from faceanond.daemon.supervisor import Supervisor, TooManyAbandonedError
from faceanond.errors import SourceError, SourceFault
from faceanond.frames import Detections, RawFrame
from faceanond.pipeline.camera import CameraPipeline
from faceanond.status import CameraState
from tests.conftest import FakeClock
from tests.pictures import raw_frame


class NoFaces:
    async def detect(self, frame: RawFrame, options: DetectOptions, expected: object = None) -> Detections:
        return Detections(frame.id, ())

    def forget(self, camera: str) -> None:
        return


class ScriptedSource:
    """Fails to open, or gives so many pictures and then ends, or hangs until it is interrupted."""

    def __init__(self, script: str | int | SourceError, generation: int) -> None:
        self._script = script
        self._generation = generation
        self._index = 0
        self._interrupted = threading.Event()

    def open(self) -> StreamInfo:
        if isinstance(self._script, SourceError):
            raise self._script
        return StreamInfo("h264", 320, 240, 25.0, live=True)

    def read(self) -> RawFrame | None:
        if self._script == "endless":
            self._interrupted.wait(30)
            return None
        if self._script == "defect":
            raise RuntimeError("a defect of ours")
        assert isinstance(self._script, int)
        if self._index >= self._script:
            return None
        self._index += 1
        return raw_frame(index=self._index, generation=self._generation)

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        pass


Scripts = dict[str, list[str | int | SourceError]]


class Fleet:
    """A supervised fleet whose cameras follow scripts; the last entry of a script repeats."""

    def __init__(self, scripts: Scripts, clock: FakeClock) -> None:
        settings = Camera(source=SourceUrl("demo", ""), track=Track(enabled=False))
        self.attempts = dict.fromkeys(scripts, 0)
        self._scripts = scripts
        self._changed = asyncio.Event()
        self.pipelines = {name: CameraPipeline(name, settings, detector=NoFaces(), clock=clock) for name in scripts}
        self.supervisor = Supervisor(self.pipelines, clock=clock, make=self._make)

    def _make(self, name: str, settings: Camera, generation: int) -> ScriptedSource:
        script = self._scripts[name]
        number = self.attempts[name]
        self.attempts[name] += 1
        self._changed.set()
        return ScriptedSource(script[min(number, len(script) - 1)], generation)

    async def reaches(self, name: str, attempts: int) -> None:
        """Waits (for threads, so in real time) until the camera has begun so many attempts."""
        async with asyncio.timeout(10):
            while self.attempts[name] < attempts:
                self._changed.clear()
                await self._changed.wait()

    async def becomes(self, name: str, state: CameraState) -> None:
        async with asyncio.timeout(10):
            while self.pipelines[name].figures.state is not state:  # noqa: ASYNC110 - the state has no event
                await asyncio.sleep(0.005)


@asynccontextmanager
async def supervised(scripts: Scripts, clock: FakeClock) -> AsyncIterator[Fleet]:
    fleet = Fleet(scripts, clock)
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(fleet.supervisor.run(), name="supervisor")
            yield fleet
            task.cancel()
    finally:
        for pipeline in fleet.pipelines.values():
            await pipeline.close()


UNREACHABLE = SourceError(SourceFault.UNREACHABLE, "connection refused")


async def test_a_camera_that_is_down_is_tried_again_and_again(clock: FakeClock) -> None:
    async with supervised({"yard": [UNREACHABLE]}, clock) as fleet:
        for attempt in range(1, 6):
            await fleet.reaches("yard", attempt)
            await fleet.becomes("yard", CameraState.RETRYING)
            await clock.advance(LONGEST)
        status = fleet.pipelines["yard"].status()
        assert status.reconnects["unreachable"] >= 4
        assert status.last_error == "connection refused"


async def test_a_camera_that_stays_away_is_told_now_and_then_and_another_trouble_at_once(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(module.log, "warning", lambda words, **fields: told.append({"words": words, **fields}))
    timeout = SourceError(SourceFault.STALLED, "no further picture came")
    async with supervised({"yard": [UNREACHABLE] * 40 + [timeout]}, clock) as fleet:
        for attempt in range(1, 41):
            await fleet.reaches("yard", attempt)
            await fleet.becomes("yard", CameraState.RETRYING)
            await clock.advance(LONGEST)
        await fleet.reaches("yard", 41)
        await fleet.becomes("yard", CameraState.RETRYING)
    assert {line["words"] for line in told} == {"camera lost"}
    assert (told[0]["reason"], told[-1]["reason"]) == ("unreachable", "stalled")
    assert 3 <= len(told) <= 2 + 40 * LONGEST / module.TOLD_EVERY
    assert told[1]["attempts"] > 5


async def test_one_camera_that_is_down_does_not_touch_another(clock: FakeClock) -> None:
    async with supervised({"yard": [UNREACHABLE], "lobby": ["endless"]}, clock) as fleet:
        await fleet.becomes("lobby", CameraState.LIVE)
        for attempt in range(1, 4):
            await fleet.reaches("yard", attempt)
            await fleet.becomes("yard", CameraState.RETRYING)
            assert fleet.pipelines["lobby"].figures.state is CameraState.LIVE
            await clock.advance(1.0)
        assert fleet.attempts["lobby"] == 1


async def test_a_stream_that_ended_is_opened_again_under_a_new_generation(clock: FakeClock) -> None:
    async with supervised({"lobby": [3, "endless"]}, clock) as fleet:
        await fleet.becomes("lobby", CameraState.RETRYING)
        await clock.advance(1.0)
        await fleet.becomes("lobby", CameraState.LIVE)
        status = fleet.pipelines["lobby"].status()
        assert status.reconnects == {"ended": 1}
        assert status.captured == 3
        assert status.last_error is None
        assert fleet.pipelines["lobby"].next_generation() == 3


async def test_a_defect_in_a_source_is_that_cameras_trouble_alone(clock: FakeClock) -> None:
    async with supervised({"yard": ["defect"], "lobby": ["endless"]}, clock) as fleet:
        await fleet.becomes("yard", CameraState.RETRYING)
        await fleet.becomes("lobby", CameraState.LIVE)
        assert fleet.pipelines["yard"].status().reconnects["internal"] >= 1


async def test_a_defect_in_a_pipeline_restarts_that_camera_alone(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervised({"yard": ["endless"], "lobby": ["endless"]}, clock) as fleet:
        await fleet.becomes("yard", CameraState.LIVE)
        await fleet.becomes("lobby", CameraState.LIVE)
        broken = fleet.pipelines["yard"]
        monkeypatch.setattr(broken, "_absence", "not a function")
        for _ in range(100):
            await clock.advance(0.2)
            await asyncio.sleep(0.01)
            if fleet.attempts["yard"] >= 2:
                break
        monkeypatch.undo()
        await clock.advance(5.0)
        await fleet.becomes("yard", CameraState.LIVE)
        assert fleet.attempts["yard"] >= 2
        assert fleet.attempts["lobby"] == 1


async def test_too_many_hanging_threads_end_the_process(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "abandoned", lambda: module.ABANDONED_LIMIT + 1)
    with pytest.raises(ExceptionGroup) as caught:
        async with supervised({"yard": [UNREACHABLE], "lobby": ["endless"]}, clock):
            await asyncio.sleep(10)
    assert caught.value.subgroup(TooManyAbandonedError) is not None


async def test_a_pipeline_that_fails_over_its_end_keeps_nobody_from_stopping(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervised({"yard": ["endless"]}, clock) as fleet:
        pipeline = fleet.pipelines["yard"]
        run = pipeline.run

        async def breaks() -> None:
            try:
                await run()
            finally:
                raise ZeroDivisionError("a defect of ours")

        monkeypatch.setattr(pipeline, "run", breaks)
        await fleet.becomes("yard", CameraState.LIVE)
    # Left, so the supervisor has ended although the pipeline failed while it was cancelled.
    assert fleet.attempts["yard"] == 1
