from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable

import pytest

from faceanond.config.model import DetectOptions
from faceanond.detect.protocol import DetectRequest, DeviceLostError
from faceanond.errors import DetectionError
from faceanond.frames import Detections, Face
from faceanond.inference import batcher as module
from faceanond.inference.batcher import BROKEN_AFTER, Batcher
from tests.conftest import FakeClock, settle
from tests.inference.fakes import FACE, FakeDetector, frame

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


def failing(error: Exception) -> Callable[[DetectRequest], tuple[Face, ...]]:
    def answer(request: DetectRequest) -> tuple[Face, ...]:
        raise error

    return answer


async def test_a_frame_gets_its_own_detections(clock: FakeClock) -> None:
    detector = FakeDetector()
    async with serving(detector, clock) as batcher:
        assert await batcher.detect(frame("a", 7), OPTIONS) == Detections(frame("a", 7).id, (FACE,))
    assert detector.threads == {"inference"}


async def test_whatever_waits_goes_in_one_batch_as_soon_as_the_thread_is_idle(clock: FakeClock) -> None:
    detector = FakeDetector()
    detector.hold.clear()
    async with serving(detector, clock) as batcher, asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        await ask("a")
        await entered(detector)
        await ask("b", "c", "d", "e", "f")
        detector.hold.set()
    assert detector.cameras == [["a"], ["b", "c", "d", "e"], ["f"]]


async def test_a_fast_camera_cannot_starve_a_slow_one(clock: FakeClock) -> None:
    detector = FakeDetector()
    async with serving(detector, clock, max_batch=1) as batcher, asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        detector.hold.clear()
        await ask("fast")
        await entered(detector)
        await ask("slow", "fast", index=1)
        for index in range(2, 60):
            await ask("fast", index=index)
        detector.hold.set()
    assert detector.cameras == [["fast"], ["slow"], ["fast"]]
    assert ask.answers["fast", 59] == (FACE,)
    assert ask.answers["slow", 1] == (FACE,)
    assert [ask.answers["fast", index] for index in range(1, 59)] == ["superseded"] * 58


async def test_waiters_of_a_hung_detector_give_up_in_time(clock: FakeClock) -> None:
    detector = FakeDetector()
    detector.hold.clear()
    async with serving(detector, clock) as batcher, asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        await ask("a")
        await entered(detector)
        await clock.advance(0.6)
        await ask("b")
        await clock.advance(0.5)
        assert ask.answers == {("a", 0): "timeout"}
        await clock.advance(0.5)
        assert ask.answers == {("a", 0): "timeout", ("b", 0): "timeout"}
        assert batcher.statistics().queue_length == 0
    assert detector.cameras == [["a"]], "nobody waited for b any more"


async def test_a_late_answer_reaches_nobody_and_the_next_frame_is_served(clock: FakeClock) -> None:
    detector = FakeDetector()
    detector.hold.clear()
    async with serving(detector, clock) as batcher, asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        await ask("a")
        await entered(detector)
        await clock.advance(1.5)
        detector.hold.set()
        assert await batcher.detect(frame("a", 1), OPTIONS) == Detections(frame("a", 1).id, (FACE,))
    assert ask.answers == {("a", 0): "timeout"}


async def test_the_time_of_each_waiter_runs_from_its_own_start(clock: FakeClock) -> None:
    detector = FakeDetector()
    async with serving(detector, clock) as batcher, asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        await batcher.detect(frame("a"), OPTIONS)
        await clock.advance(0.9)
        detector.hold.clear()
        await ask("b")
        await clock.advance(0.9)
        assert ask.answers == {}
        await clock.advance(0.1)
        assert ask.answers == {("b", 0): "timeout"}


async def test_a_cancelled_waiters_frame_is_skipped(clock: FakeClock) -> None:
    detector = FakeDetector()
    detector.hold.clear()
    async with serving(detector, clock) as batcher, asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        await ask("a")
        await entered(detector)
        (waiting,) = await ask("b")
        waiting.cancel()
        await settle()
        assert batcher.statistics().queue_length == 0
        detector.hold.set()
        await batcher.detect(frame("c"), OPTIONS)
    assert detector.cameras == [["a"], ["c"]]


async def test_a_stopped_cameras_frame_is_forgotten(clock: FakeClock) -> None:
    detector = FakeDetector()
    detector.hold.clear()
    async with serving(detector, clock) as batcher, asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        await ask("a")
        await entered(detector)
        await ask("b", "c")
        batcher.forget("b")
        batcher.forget("unknown")
        detector.hold.set()
    assert ask.answers == {("a", 0): (FACE,), ("b", 0): "stopped", ("c", 0): (FACE,)}


async def test_one_cameras_poisonous_frame_conceals_only_itself(clock: FakeClock) -> None:
    def answer(request: DetectRequest) -> tuple[Face, ...]:
        if request.frame.id.camera == "b":
            raise ValueError("bad frame")
        return (FACE,)

    detector = FakeDetector(answer)
    detector.hold.clear()
    async with serving(detector, clock) as batcher, asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        await ask("x")
        await entered(detector)
        await ask("a", "b", "c")
        detector.hold.set()
    assert ask.answers == {("x", 0): (FACE,), ("a", 0): (FACE,), ("b", 0): "detector_failed", ("c", 0): (FACE,)}
    assert batcher.statistics().failures == 1


async def test_a_detector_that_only_fails_ends_the_run(clock: FakeClock) -> None:
    detector = FakeDetector(failing(RuntimeError("out of memory")))
    batcher = Batcher(detector, max_batch=4, timeout=1.0, clock=clock)
    reasons: list[str] = []

    async def camera() -> None:
        while "stopped" not in reasons:
            try:
                await batcher.detect(frame(), OPTIONS)
            except DetectionError as error:
                reasons.append(error.reason)

    async with asyncio.TaskGroup() as group:
        group.create_task(camera(), name="camera")
        with pytest.raises(DetectionError, match=r"failed 20 batches in a row; the last: .*out of memory"):
            await batcher.run()
    assert reasons == ["detector_failed"] * BROKEN_AFTER + ["stopped"]


async def test_one_answer_in_between_forgives_the_failures(clock: FakeClock) -> None:
    asked = 0

    def answer(request: DetectRequest) -> tuple[Face, ...]:
        nonlocal asked
        asked += 1
        if asked % BROKEN_AFTER:
            raise RuntimeError("out of memory")
        return (FACE,)

    async with serving(FakeDetector(answer), clock) as batcher:
        for _ in range(BROKEN_AFTER * 2 - 1):
            with contextlib.suppress(DetectionError):
                await batcher.detect(frame(), OPTIONS)
        assert (await batcher.detect(frame(), OPTIONS)).faces == (FACE,)


async def test_a_lost_device_ends_the_run_at_once_and_lets_every_waiter_go(clock: FakeClock) -> None:
    detector = FakeDetector(failing(DeviceLostError("CUDA failure 700")))
    batcher = Batcher(detector, max_batch=1, timeout=1.0, clock=clock)
    async with asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        await ask("a", "b")
        with pytest.raises(DeviceLostError):
            await batcher.run()
    assert ask.answers == {("a", 0): "stopped", ("b", 0): "stopped"}
    assert len(detector.batches) == 1


async def test_stopping_lets_every_waiter_go_and_ends_the_thread(clock: FakeClock) -> None:
    detector = FakeDetector()
    detector.hold.clear()
    batcher = Batcher(detector, max_batch=1, timeout=1.0, clock=clock)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(batcher.run(), name="batcher")
        ask = Asking(group, batcher)
        await ask("a", "b")
        await entered(detector)
        running.cancel()
        await settle()
        assert ask.answers == {("a", 0): "stopped", ("b", 0): "stopped"}
        assert not running.done(), "the thread still works"
        detector.hold.set()
    for thread in threading.enumerate():
        if thread.name == "inference":
            thread.join(5)
            assert not thread.is_alive()
    with pytest.raises(DetectionError) as caught:
        await batcher.detect(frame(), OPTIONS)
    assert caught.value.reason == "stopped"


async def test_a_hung_thread_does_not_keep_the_process(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE", 0.01)
    detector = FakeDetector()
    detector.hold.clear()
    batcher = Batcher(detector, max_batch=1, timeout=1.0, clock=clock)
    async with asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        running = group.create_task(batcher.run(), name="batcher")
        await ask("a")
        await entered(detector)
        running.cancel()
    assert ask.answers == {("a", 0): "stopped"}
    assert not detector.hold.is_set()
    detector.hold.set()


async def test_too_many_cameras_are_refused(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    batcher = Batcher(FakeDetector(), max_batch=1, timeout=1.0, clock=clock)
    async with asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        await ask("a", "b")
        with pytest.raises(DetectionError) as caught:
            await batcher.detect(frame("c"), OPTIONS)
        assert caught.value.reason == "overload"
        for camera in "ab":
            batcher.forget(camera)


async def test_progress_is_now_while_idle_and_stands_still_while_hung(clock: FakeClock) -> None:
    detector = FakeDetector()
    async with serving(detector, clock) as batcher, asyncio.TaskGroup() as group:
        await batcher.detect(frame(), OPTIONS)
        await clock.advance(5)
        for _ in range(100_000):  # until the thread has seen that nothing waits
            if batcher.last_progress == 1005:
                break
            await asyncio.sleep(0)
        assert batcher.last_progress == 1005
        detector.hold.clear()
        detector.entered = threading.Semaphore(0)
        await Asking(group, batcher)("a")
        await entered(detector)
        await clock.advance(7)
        assert batcher.last_progress == 1005


async def test_statistics_tell_how_the_queue_stands(clock: FakeClock) -> None:
    detector = FakeDetector()
    detector.hold.clear()
    async with serving(detector, clock) as batcher, asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        await ask("a")
        await entered(detector)
        await ask("b", "c")
        status = batcher.statistics()
        assert (status.detector, status.provider, status.queue_length, status.failures) == ("fake", "cpu", 2, 0)
        await clock.advance(0.3)
        detector.hold.set()
    status = batcher.statistics()
    assert status.batch_size.count == 2
    assert status.batch_size.total == 3
    assert status.queue_wait.total == pytest.approx(0.6)
    assert set(status.stages) == {"total"}


async def test_a_batcher_runs_once(clock: FakeClock) -> None:
    async with serving(FakeDetector(), clock) as batcher:
        await batcher.detect(frame(), OPTIONS)
        with pytest.raises(RuntimeError, match="runs once"):
            await batcher.run()


async def test_answered_frames_are_let_go_at_once_and_not_at_their_deadline(clock: FakeClock) -> None:
    async with serving(FakeDetector(), clock) as batcher:
        pictures = [frame("lobby", index) for index in range(5)]
        kept = [weakref.ref(picture.y) for picture in pictures]
        while pictures:
            await batcher.detect(pictures.pop(), OPTIONS)
        # Another camera's frame still waits for nothing; the thread may hold the last batch until the next one.
        await batcher.detect(frame("yard"), OPTIONS)
        gc.collect()
        assert sum(reference() is not None for reference in kept) <= 1


async def test_pictures_that_are_too_full_do_not_condemn_the_detector(clock: FakeClock) -> None:
    detector = FakeDetector(failing(DetectionError("too_many_faces", "a poster")))
    async with serving(detector, clock) as batcher:
        for index in range(3 * BROKEN_AFTER):
            with pytest.raises(DetectionError, match="a poster"):
                await batcher.detect(frame("poster", index), OPTIONS)
