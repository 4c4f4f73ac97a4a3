from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import Callable

import pytest

from faceanond.detect.protocol import DetectRequest, DeviceLostError
from faceanond.errors import DetectionError
from faceanond.frames import Detections, Face
from faceanond.inference import batcher as module
from faceanond.inference.batcher import BROKEN_AFTER, Batcher
from faceanond.inference.canary import EVERY, LIMIT
from tests.conftest import FakeClock, settle
from tests.inference.fakes import FACE, FakeDetector, found, frame
from tests.inference.harness import OPTIONS, Asking, entered, serving


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


def blind(request: DetectRequest) -> tuple[Face, ...]:
    return ()


async def test_the_first_batch_carries_a_canary_and_a_cpu_another_every_half_second(clock: FakeClock) -> None:
    detector = FakeDetector()
    async with serving(detector, clock) as batcher:
        for index in range(48):
            await batcher.detect(frame("a", index), OPTIONS)
            await clock.advance(EVERY / 8)
    assert [len(aboard) for aboard in detector.canaries] == [1, 0, 0, 0, 0, 0, 0, 0] * 6


async def test_on_a_gpu_every_batch_carries_a_canary_on_top_of_the_cameras_frames(clock: FakeClock) -> None:
    detector = FakeDetector(provider="cuda")
    detector.hold.clear()
    async with serving(detector, clock, max_batch=2) as batcher, asyncio.TaskGroup() as group:
        ask = Asking(group, batcher)
        await ask("a")
        await entered(detector)
        await ask("b", "c", "d")
        detector.hold.set()
    assert detector.cameras == [["a"], ["b", "c"], ["d"]]
    assert [len(aboard) for aboard in detector.canaries] == [1, 1, 1]
    assert batcher.statistics().batch_size.total == 4, "the canary is no picture of a camera"


async def test_a_detector_that_has_gone_blind_conceals_every_frame_and_ends_the_run(clock: FakeClock) -> None:
    detector = FakeDetector(blind, canary=blind)
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
        with pytest.raises(DetectionError, match=r"missed the known face 3 times; .* not found among 0") as caught:
            await batcher.run()
    assert caught.value.reason == "canary"
    assert reasons == ["canary"] * LIMIT + ["stopped"]
    status = batcher.statistics()
    assert (status.canary_failures, status.failures) == (LIMIT, LIMIT)


async def test_a_missed_canary_is_looked_for_again_in_the_very_next_batch(clock: FakeClock) -> None:
    rides = 0

    def sometimes(request: DetectRequest) -> tuple[Face, ...]:
        nonlocal rides
        rides += 1
        return () if rides == 2 else found(request)

    detector = FakeDetector(canary=sometimes)
    async with serving(detector, clock) as batcher:
        await batcher.detect(frame(), OPTIONS)
        await clock.advance(EVERY)
        with pytest.raises(DetectionError, match="the known face was not found"):
            await batcher.detect(frame(), OPTIONS)
        assert (await batcher.detect(frame(), OPTIONS)).faces == (FACE,)
        await batcher.detect(frame(), OPTIONS)
    assert [len(aboard) for aboard in detector.canaries] == [1, 1, 1, 0]
    assert batcher.statistics().canary_failures == 1


async def test_a_canary_found_in_between_forgives_the_misses(clock: FakeClock) -> None:
    rides = 0

    def mostly_not(request: DetectRequest) -> tuple[Face, ...]:
        nonlocal rides
        rides += 1
        return () if rides % LIMIT else found(request)

    async with serving(FakeDetector(canary=mostly_not, provider="cuda"), clock) as batcher:
        for _ in range(4 * LIMIT):
            with contextlib.suppress(DetectionError):
                await batcher.detect(frame(), OPTIONS)
        assert batcher.statistics().canary_failures == 4 * (LIMIT - 1)
