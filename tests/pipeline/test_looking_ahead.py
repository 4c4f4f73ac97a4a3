"""Look-ahead in the live pipeline and in that of a file: who waits for whom, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.capture.source import StreamInfo
from faceanond.config.model import Anonymise, DetectOptions, Track
from faceanond.errors import SourceFault
from faceanond.frames import Detections, RawFrame, Verdict
from faceanond.pipeline.camera import PATIENCE, CameraPipeline
from faceanond.pipeline.file import FilePipeline, Tally
from tests.conftest import FakeClock, settle
from tests.pictures import raw_frame
from tests.pipeline.test_camera import FACE, FakeDetector, camera, nothing, one_face
from tests.scenes.stage import Reel

STEP = 1 / 25
LOOK_AHEAD = 0.2
WAIT = 5
"""Frames of the look-ahead."""


async def reached(condition: Callable[[], bool]) -> None:
    """Real time for the threads of tracking and sealing, which no simulated clock can hurry."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("nothing happens any more")


class Live:
    """A camera's pipeline in simulated time, and which frames were shown how."""

    def __init__(self, pipeline: CameraPipeline, clock: FakeClock) -> None:
        self.pipeline, self.clock = pipeline, clock
        self.shown: list[tuple[int, Verdict]] = []
        self.at: dict[int, float] = {}
        self.index = 0

    def note(self, sealed: AnonymisedFrame) -> None:
        if sealed.verdict is not Verdict.HELD and sealed.source is not None:
            self.shown.append((sealed.source.index, sealed.verdict))
            self.at[sealed.source.index] = self.clock.monotonic()

    async def feed(self, **settings: object) -> None:
        """The camera sends a frame, and it is judged; real time for the tracker's thread, none on the clock."""
        frame = raw_frame(self.index, captured=self.clock.monotonic(), **settings)  # type: ignore[arg-type]
        self.index += 1
        self.pipeline.feed(frame)
        await reached(lambda: self.waiting + len(self.shown) >= self.index)
        await settle()

    async def feeds(self, count: int) -> None:
        for _ in range(count):
            await self.feed()
            await self.clock.advance(STEP)

    async def until(self, count: int) -> None:
        await reached(lambda: len(self.shown) >= count)

    @property
    def waiting(self) -> int:
        return len(self.pipeline._follower)

    @property
    def indices(self) -> list[int]:
        return [index for index, _ in self.shown]


@asynccontextmanager
async def live(detector: FakeDetector, clock: FakeClock) -> AsyncIterator[Live]:
    settings = camera(track={"enabled": True, "look_ahead": LOOK_AHEAD})
    pipeline = CameraPipeline("lobby", settings, detector=detector, clock=clock)
    run = Live(pipeline, clock)
    real = pipeline._seal

    async def seal(*arguments: object) -> None:
        await real(*arguments)  # type: ignore[arg-type]
        if pipeline.last_sealed is not None:
            run.note(pipeline.last_sealed)

    pipeline._seal = seal  # type: ignore[method-assign]
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(pipeline.run(), name="run")
            await settle()
            pipeline.opened(StreamInfo("h264", 320, 240, 25.0, live=True))
            yield run
            running.cancel()
    finally:
        await pipeline.close()


async def test_a_frame_leaves_when_those_behind_it_were_judged(clock: FakeClock) -> None:
    detector = FakeDetector(one_face)
    async with live(detector, clock) as run:
        await run.feeds(WAIT)
        assert run.shown == []
        assert run.waiting == WAIT
        await run.feed()
        await run.until(1)
        assert run.shown == [(0, Verdict.MASKED)]
        assert len(detector.asked) == WAIT + 1
        await run.clock.advance(STEP)
        await run.feeds(3)
        await run.until(4)
        assert run.indices == [0, 1, 2, 3]


async def test_a_face_that_is_found_later_is_hidden_in_the_frames_before(clock: FakeClock) -> None:
    async def late(frame: RawFrame) -> Detections:
        return Detections(frame.id, (FACE,) if frame.id.index >= 4 else ())

    async with live(FakeDetector(late), clock) as run:
        await run.feeds(WAIT + 5)
        await run.until(5)
        assert run.shown[:5] == [*((index, Verdict.COASTED) for index in range(4)), (4, Verdict.MASKED)]
        assert run.pipeline.status().published.get(Verdict.CLEAN, 0) == 0


async def test_when_the_camera_stalls_a_frame_leaves_after_look_ahead_and_patience(clock: FakeClock) -> None:
    async with live(FakeDetector(nothing), clock) as run:
        await run.feed()
        await run.clock.advance(LOOK_AHEAD + PATIENCE - 0.01)
        await settle()
        assert (run.shown, run.waiting) == ([], 1)
        await run.clock.advance(0.02)
        await run.until(1)
        assert run.shown == [(0, Verdict.CLEAN)]


async def test_a_frame_does_not_leave_while_the_next_one_is_at_the_detector_but_before_it_is_too_old(
    clock: FakeClock,
) -> None:
    """A machine under load must not lose the look-ahead: the next verdict may say that there was a face."""
    free = asyncio.Event()
    free.set()

    async def busy(frame: RawFrame) -> Detections:
        await free.wait()
        return await one_face(frame)

    async with live(FakeDetector(busy), clock) as run:
        await run.feed()
        free.clear()
        run.pipeline.feed(raw_frame(1, captured=clock.monotonic()))
        await reached(lambda: run.pipeline._coming())
        for _ in range(20):
            await clock.advance((LOOK_AHEAD + 2 * PATIENCE) / 20)
            await asyncio.sleep(0.005)
        assert run.shown == [], "the next one is still being looked at"
        for _ in range(40):
            await clock.advance(0.6 / 40)
            await asyncio.sleep(0.005)
        await run.until(1)
        assert run.at[0] - 1000.0 < 1.0, "and it leaves in time"
        free.set()


async def test_the_last_frames_before_a_stall_leave_one_after_the_other(clock: FakeClock) -> None:
    async with live(FakeDetector(nothing), clock) as run:
        start = run.clock.monotonic()
        await run.feeds(3)
        for index in range(3):
            await run.clock.advance(start + index * STEP + LOOK_AHEAD + PATIENCE + 0.01 - run.clock.monotonic())
            await run.until(index + 1)
            assert run.indices == list(range(index + 1))
            assert run.waiting == 2 - index


async def test_frames_that_wait_when_the_connection_is_lost_are_judged_and_shown_before_the_new_ones(
    clock: FakeClock,
) -> None:
    async with live(FakeDetector(one_face), clock) as run:
        await run.feeds(3)
        run.pipeline.lost(SourceFault.STALLED, "gone", 0.1)
        run.pipeline.opened(StreamInfo("h264", 320, 240, 25.0, live=True))
        await run.feed(generation=2)
        await run.until(3)
        assert run.shown == [(index, Verdict.MASKED) for index in range(3)]
        assert run.waiting == 1


async def test_a_pipeline_that_runs_again_has_forgotten_what_waited(clock: FakeClock) -> None:
    pipeline = CameraPipeline(
        "lobby", camera(track={"look_ahead": LOOK_AHEAD}), detector=FakeDetector(one_face), clock=clock
    )
    try:
        for _ in range(2):
            running = asyncio.get_running_loop().create_task(pipeline.run(), name="run")
            await settle()
            assert len(pipeline._follower) == 0
            pipeline.feed(raw_frame(captured=clock.monotonic()))
            await reached(lambda: len(pipeline._follower) == 1)
            running.cancel()
            await asyncio.wait([running])
    finally:
        await pipeline.close()


# Files: their job has the loop to itself, so it may block it


class Sheet:
    """A writer that keeps what it gets."""

    def __init__(self) -> None:
        self.frames: list[AnonymisedFrame] = []

    def write(self, frame: AnonymisedFrame) -> None:
        self.frames.append(frame)


async def convert(detector: FakeDetector, count: int, clock: FakeClock, **track: object) -> tuple[Sheet, Tally]:
    sheet = Sheet()
    pipeline = FilePipeline(
        source=Reel([raw_frame(index) for index in range(count)]),
        detector=detector,
        options=DetectOptions(),
        track=Track.model_validate(track),
        anonymiser=Anonymiser("file", Anonymise(), clock=clock),
        writer=sheet,
    )
    return sheet, await pipeline.run()


@pytest.mark.may_block
@pytest.mark.parametrize("look_ahead", [0.0, LOOK_AHEAD, 5.0])
@pytest.mark.parametrize("count", [0, 1, WAIT, 40])
async def test_every_frame_of_a_file_is_written_in_its_order_and_the_last_ones_too(
    clock: FakeClock, count: int, look_ahead: float
) -> None:
    sheet, tally = await convert(FakeDetector(one_face), count, clock, look_ahead=look_ahead)
    assert [frame.source and frame.source.index for frame in sheet.frames] == list(range(count))
    assert {frame.verdict for frame in sheet.frames} <= {Verdict.MASKED}
    assert (tally.frames, tally.faces) == (count, count)


@pytest.mark.may_block
async def test_a_face_in_a_files_last_frame_is_hidden_in_those_before(clock: FakeClock) -> None:
    async def last(frame: RawFrame) -> Detections:
        return Detections(frame.id, (FACE,) if frame.id.index == 9 else ())

    sheet, tally = await convert(FakeDetector(last), 10, clock, look_ahead=LOOK_AHEAD)
    wanted = [Verdict.CLEAN] * (9 - WAIT) + [Verdict.COASTED] * WAIT + [Verdict.MASKED]
    assert [frame.verdict for frame in sheet.frames] == wanted
    assert tally.faces == 1, "what is only supposed is not counted as found"


@pytest.mark.may_block
async def test_without_a_tracker_a_file_is_judged_frame_by_frame(clock: FakeClock) -> None:
    async def odd(frame: RawFrame) -> Detections:
        return Detections(frame.id, (FACE,) if frame.id.index % 2 else ())

    sheet, _ = await convert(FakeDetector(odd), 6, clock, enabled=False)
    assert [frame.verdict for frame in sheet.frames] == [Verdict.CLEAN, Verdict.MASKED] * 3
