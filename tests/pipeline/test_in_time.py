from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.config.model import Anonymise, DetectOptions
from faceanond.errors import DetectionError
from faceanond.frames import Detections, RawFrame, Verdict
from faceanond.pipeline.in_time import InTime, unless_late
from tests.conftest import FakeClock, settle
from tests.pictures import raw_frame

OPTIONS = DetectOptions()
LIMIT = 0.5


class Detector:
    def __init__(self, answer: Callable[[RawFrame], Awaitable[Detections]]) -> None:
        self.detect_for = answer
        self.left: list[int] = []

    async def detect(self, frame: RawFrame, options: DetectOptions, expected: object = None) -> Detections:
        try:
            return await self.detect_for(frame)
        finally:
            self.left.append(frame.id.index)


class Watched:
    """Asks about pictures of a given age, in front of a detector that takes so many seconds."""

    def __init__(self, group: asyncio.TaskGroup, clock: FakeClock, seconds: float) -> None:
        self._group, self._clock, self.seconds = group, clock, seconds
        self.detector = Detector(self._answer)
        self.in_time = InTime(self.detector, LIMIT, clock=clock)

    async def _answer(self, frame: RawFrame) -> Detections:
        await self._clock.sleep(self.seconds)
        return Detections(frame.id, ())

    async def asks(self, index: int, *, age: float = 0.0) -> asyncio.Task[Detections | str]:
        """The answer, or the reason why there is none."""
        frame = raw_frame(index, captured=self._clock.monotonic() - age)
        task = self._group.create_task(self._ask(frame), name=f"ask {index}")
        await settle()
        return task

    async def _ask(self, frame: RawFrame) -> Detections | str:
        try:
            return await self.in_time.detect(frame, OPTIONS)
        except DetectionError as error:
            return error.reason


@asynccontextmanager
async def watching(clock: FakeClock, seconds: float) -> AsyncIterator[Watched]:
    async with asyncio.TaskGroup() as group:
        watched = Watched(group, clock, seconds)
        watch = group.create_task(watched.in_time.watch(), name="watch")
        yield watched
        watch.cancel()


async def test_an_answer_in_time_is_passed_on(clock: FakeClock) -> None:
    async with watching(clock, 0.3) as watched:
        for index in range(20):
            task = await watched.asks(index)
            await clock.advance(0.3)
            assert await task == Detections(raw_frame(index).id, ())


@pytest.mark.parametrize("age", [0.0, 0.2, 0.45])
async def test_a_picture_is_given_up_when_it_is_too_old_however_late_the_detector_was_asked(
    clock: FakeClock, age: float
) -> None:
    async with watching(clock, 60.0) as watched:
        task = await watched.asks(0, age=age)
        await clock.advance(LIMIT - age - 0.01)
        assert not task.done()
        await clock.advance(0.02)
        assert await task == "overload"
        assert watched.detector.left == [0], "the detector knows that nobody waits any more"


async def test_each_picture_has_its_own_time(clock: FakeClock) -> None:
    """The watcher sleeps for the first one's time, and must not take it for the second one's."""
    never = asyncio.Event()

    async def hangs(frame: RawFrame) -> Detections:
        await never.wait()
        raise AssertionError

    async with watching(clock, 0.3) as watched:
        first = await watched.asks(0)
        await clock.advance(0.3)
        assert isinstance(await first, Detections)
        watched.detector.detect_for = hangs
        for index in (1, 2):
            task = await watched.asks(index)
            await clock.advance(LIMIT - 0.01)
            assert not task.done()
            await clock.advance(0.02)
            assert await task == "overload"


async def test_a_picture_for_which_an_answer_would_come_too_late_is_left_out_unless_it_is_fresh(
    clock: FakeClock,
) -> None:
    async with watching(clock, 0.3) as watched:

        def too_old(age: float) -> bool:
            return watched.in_time.too_old(raw_frame(captured=clock.monotonic() - age))

        assert not too_old(LIMIT - 0.01), "nothing is known about the detector yet"
        assert too_old(LIMIT)
        for index in range(20):
            task = await watched.asks(index)
            await clock.advance(0.3)
            await task
        assert too_old(0.21)
        assert not too_old(0.19)
        watched.seconds = 60.0
        for index in range(20):
            task = await watched.asks(index)
            await clock.advance(LIMIT)
            assert await task == "overload"
        assert too_old(0.1)
        assert not too_old(0.05), "somebody has to find out when the detector is well again"


async def test_the_detectors_own_errors_are_not_mistaken_for_lateness(clock: FakeClock) -> None:
    async with watching(clock, 0.3) as watched:
        for error in (DetectionError("nan", "no number"), TimeoutError("of the detector's own")):

            async def fails(frame: RawFrame, error: Exception = error) -> Detections:
                raise error

            watched.detector.detect_for = fails
            with pytest.raises(type(error)) as caught:
                await watched.in_time.detect(raw_frame(), OPTIONS)
            assert caught.value is error


async def test_who_asked_can_be_cancelled(clock: FakeClock) -> None:
    async with watching(clock, 60.0) as watched:
        task = await watched.asks(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert watched.detector.left == [0]
        await clock.advance(2 * LIMIT)


def test_what_is_too_old_when_its_sealing_begins_is_concealed(clock: FakeClock) -> None:
    anonymiser = Anonymiser("lobby", Anonymise(), clock=clock)
    frame = raw_frame(captured=clock.monotonic())

    def make(anonymiser: Anonymiser) -> AnonymisedFrame:
        return anonymiser.seal(frame, Detections(frame.id, ()))

    sealed = unless_late(make, frame, LIMIT, clock)
    clock.move(LIMIT)
    assert sealed(anonymiser).verdict is Verdict.CLEAN
    clock.move(0.01)
    late = sealed(anonymiser)
    assert (late.verdict, late.reason, late.source) == (Verdict.FULL, "overload", frame.id)
