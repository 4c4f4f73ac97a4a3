"""One attempt in a thread that may hang."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from faceanond.capture import thread as capture_thread
from faceanond.capture.source import StreamInfo
from faceanond.capture.thread import GRACE, MAX_ABANDONED, abandoned, capture
from faceanond.errors import SourceError, SourceFault
from faceanond.frames import ColourMatrix, FrameId, RawFrame
from tests.conftest import FakeClock, settle
from tests.waiting import until

INFO = StreamInfo("raw", 16, 16, 25.0, True)
TIMEOUT = 10.0


def picture(index: int) -> RawFrame:
    y, c = np.zeros((16, 16), np.uint8), np.zeros((8, 8), np.uint8)
    return RawFrame(FrameId("cam", 1, index), y, c, c, False, ColourMatrix.BT601, 0.0, 0.0)


class ScriptedSource:
    """Does what it is told at each step; "hang" blocks until interrupted, "stuck" until the test ends."""

    def __init__(self, *steps: object) -> None:
        self._steps = iter(steps)
        self._index = 0
        self.interrupted = threading.Event()
        self.freed = threading.Event()
        self.blocked = threading.Event()
        self.closed = threading.Event()
        self.thread: str | None = None

    def open(self) -> StreamInfo:
        self.thread = threading.current_thread().name
        self._step()
        return INFO

    def read(self) -> RawFrame | None:
        if self._step() is None:
            return None
        self._index += 1
        return picture(self._index - 1)

    def _step(self) -> object:
        step = next(self._steps, None)
        if isinstance(step, Exception):
            raise step
        if step == "hang":
            self.blocked.set()
            self.interrupted.wait(30)
            return None
        if step == "stuck":
            self.blocked.set()
            self.freed.wait(30)
        return step

    def interrupt(self) -> None:
        self.interrupted.set()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def made() -> Iterator[Callable[..., ScriptedSource]]:
    sources: list[ScriptedSource] = []

    def make(*steps: object) -> ScriptedSource:
        sources.append(ScriptedSource(*steps))
        return sources[-1]

    yield make
    for source in sources:
        source.freed.set()
        source.interrupted.set()
        source.closed.wait(10)
    for thread in tuple(capture_thread._abandoned):
        thread.join(10)
    assert abandoned() == 0


class Run:
    """An attempt in progress and what came of it."""

    def __init__(
        self,
        source: ScriptedSource,
        clock: FakeClock,
        group: asyncio.TaskGroup,
        name: str = "cam",
        deliver: Callable[[RawFrame], object] | None = None,
    ) -> None:
        self.infos: list[StreamInfo] = []
        self.frames: list[RawFrame] = []
        self.error: BaseException | None = None
        self.source = source
        self.clock = clock
        self.name = name
        self.deliver = deliver or self.frames.append
        self.task = group.create_task(self._run(), name="run")

    async def _run(self) -> None:
        try:
            await capture(
                self.source,
                self.deliver,
                camera=self.name,
                timeout=TIMEOUT,
                clock=self.clock,
                on_open=self.infos.append,
            )
        except SourceError as error:
            self.error = error

    async def until_blocked(self) -> None:
        await until(self.source.blocked.is_set)
        await settle()

    @property
    def fault(self) -> SourceFault | None:
        return self.error.fault if isinstance(self.error, SourceError) else None


async def run_to_end(source: ScriptedSource, clock: FakeClock, **keys: str) -> Run:
    async with asyncio.TaskGroup() as group:
        return Run(source, clock, group, **keys)


async def test_pictures_are_delivered_from_a_thread_named_after_the_camera(made, clock: FakeClock) -> None:
    run = await run_to_end(made("open", 1, 1, 1, None), clock)
    assert [frame.id.index for frame in run.frames] == [0, 1, 2]
    assert run.source.thread == "capture:cam"
    assert run.infos == [INFO]


async def test_the_end_is_an_error_called_ended(made, clock: FakeClock) -> None:
    run = await run_to_end(made("open", 1, None), clock)
    assert run.fault is SourceFault.ENDED
    assert run.source.closed.is_set()


async def test_the_sources_own_error_comes_through(made, clock: FakeClock) -> None:
    source = made(SourceError(SourceFault.UNAUTHORISED, "no"))
    run = await run_to_end(source, clock)
    assert run.fault is SourceFault.UNAUTHORISED
    assert run.infos == []
    assert source.closed.is_set()


async def test_a_defect_in_the_thread_is_an_internal_error_without_its_text(made, clock: FakeClock) -> None:
    run = await run_to_end(made("open", RuntimeError("rtsp://u:secret@host")), clock)
    assert run.fault is SourceFault.INTERNAL
    assert "secret" not in str(run.error)


async def test_the_opening_is_told_before_the_first_picture_is_delivered(made, clock: FakeClock) -> None:
    order: list[str] = []
    with pytest.raises(SourceError):
        await capture(
            made("open", 1, None),
            lambda _: order.append("picture"),
            camera="cam",
            timeout=TIMEOUT,
            clock=clock,
            on_open=lambda _: order.append("open"),
        )
    assert order == ["open", "picture"]


async def test_an_error_of_the_listener_ends_the_attempt_and_closes_the_source(made, clock: FakeClock) -> None:
    def fail(_: StreamInfo) -> None:
        raise LookupError("listener")

    source = made("open", "hang")
    with pytest.raises(LookupError):
        await capture(source, print, camera="cam", timeout=TIMEOUT, clock=clock, on_open=fail)
    assert source.closed.is_set()


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        (("hang",), SourceFault.UNREACHABLE),
        (("open", "hang"), SourceFault.NO_FRAMES),
        (("open", 1, 1, "hang"), SourceFault.STALLED),
    ],
)
async def test_silence_is_named_after_what_did_not_come(made, clock: FakeClock, steps, fault) -> None:
    async with asyncio.TaskGroup() as group:
        run = Run(made(*steps), clock, group)
        await run.until_blocked()
        await clock.advance(TIMEOUT - 0.1)
        assert not run.source.interrupted.is_set()
        await clock.advance(0.2)
    assert run.fault is fault
    assert run.source.closed.is_set()
    assert abandoned() == 0


async def test_a_thread_that_does_not_come_back_is_abandoned_and_counted(made, clock: FakeClock) -> None:
    async with asyncio.TaskGroup() as group:
        run = Run(made("open", 1, "stuck"), clock, group)
        await run.until_blocked()
        await clock.advance(TIMEOUT + GRACE + 0.1)
    assert run.fault is SourceFault.STALLED
    assert run.source.interrupted.wait(10)
    assert abandoned() == abandoned("cam") == 1
    assert abandoned("other") == 0


async def test_an_abandoned_thread_delivers_nothing_and_is_forgotten_when_it_ends(made, clock: FakeClock) -> None:
    async with asyncio.TaskGroup() as group:
        run = Run(made("open", "stuck", 1, 1), clock, group)
        await run.until_blocked()
        await clock.advance(TIMEOUT + GRACE + 0.1)
    run.source.freed.set()
    await until(lambda: abandoned() == 0)
    assert run.frames == []


async def test_a_camera_with_too_many_hanging_threads_gets_no_further_one(made, clock: FakeClock) -> None:
    for _ in range(MAX_ABANDONED):
        async with asyncio.TaskGroup() as group:
            run = Run(made("stuck"), clock, group)
            await run.until_blocked()
            await clock.advance(TIMEOUT + GRACE + 0.1)
    refused = await run_to_end(made("open", 1), clock)
    assert refused.fault is SourceFault.STALLED
    refused.source.closed.set()
    other = await run_to_end(made("open", 1, None), clock, name="other")
    assert other.frames != []


async def test_cancelling_interrupts_and_closes_the_source(made, clock: FakeClock) -> None:
    async with asyncio.TaskGroup() as group:
        run = Run(made("open", 1, "hang"), clock, group)
        await run.until_blocked()
        run.task.cancel()
    assert run.source.closed.is_set()
    assert not any(thread.name == "capture:cam" for thread in threading.enumerate())


async def test_cancelling_does_not_wait_for_ever(made, clock: FakeClock) -> None:
    async with asyncio.TaskGroup() as group:
        run = Run(made("open", "stuck"), clock, group)
        await run.until_blocked()
        run.task.cancel()
        await clock.advance(GRACE + 0.1)
    assert abandoned("cam") == 1


async def test_cancelling_twice_leaves_no_thread_uncounted(made, clock: FakeClock) -> None:
    async with asyncio.TaskGroup() as group:
        run = Run(made("open", "stuck"), clock, group)
        await run.until_blocked()
        run.task.cancel()
        await settle()
        run.task.cancel()
    assert abandoned("cam") == 1


async def test_time_spent_in_a_blocking_delivery_is_not_silence(made, clock: FakeClock) -> None:
    taken, going_on = threading.Event(), threading.Event()

    def deliver(_: RawFrame) -> None:
        taken.set()
        going_on.wait(10)

    async with asyncio.TaskGroup() as group:
        run = Run(made("open", 1, None), clock, group, deliver=deliver)
        await until(taken.is_set)
        await clock.advance(TIMEOUT * 3)
        assert not run.source.interrupted.is_set()
        going_on.set()
    assert run.fault is SourceFault.ENDED


async def test_the_loop_never_blocks(made, clock: FakeClock) -> None:
    """The autouse fixture would fail this test; here the thread hangs in every phase."""
    for steps in (("stuck",), ("open", "stuck"), ("open", 1, "hang")):
        async with asyncio.TaskGroup() as group:
            run = Run(made(*steps), clock, group, name=f"cam{len(steps)}")
            await run.until_blocked()
            await clock.advance(TIMEOUT + GRACE + 1)
        assert run.fault is not None
