"""Faults at each stage while a face walks by: whatever breaks, no picture that leaves shows it, and it comes back
masked when the fault is over."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from faceanond import track
from faceanond.anonymise import effects
from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.config.model import Overload
from faceanond.config.model import Track as TrackOptions
from faceanond.errors import SourceFault
from faceanond.frames import Detections, FrameId, RawFrame, Verdict
from faceanond.pipeline.camera import CameraPipeline
from faceanond.publish import encoder
from faceanond.status import OverloadState
from tests.conftest import FakeClock
from tests.scenes.detectors import (
    FAULTS,
    HANGS,
    SILENT_FAULTS,
    Between,
    Fault,
    FaultyDetector,
    Knowing,
    of_another_camera,
    of_another_frame,
    of_another_generation,
    slow,
)
from tests.scenes.oracle import assert_nothing_leaks
from tests.scenes.scene import FPS, Scene
from tests.scenes.scenes import walk
from tests.scenes.stage import Footage, camera, serving, shoot
from tests.scenes.viewer import Seen, fresh, watch

WALK = Scene("walks", (walk(90, 5),))
WHEN = range(12, 22)
"""The frames for which something is wrong: too few in a row for the daemon to give up."""
CONCEALED = {Verdict.FULL, Verdict.HELD}
SHOWN = {Verdict.MASKED, Verdict.COASTED}


def of(frames: range, seen: Sequence[Seen]) -> set[Verdict]:
    """How these frames were published, by their time: a concealed one has no number. What is held is none of them."""
    start = WALK.truth(0).frame.captured
    return {picture.verdict for picture in fresh(seen) if round((picture.captured - start) * FPS) in frames}


def assert_it_recovers(seen: Sequence[Seen]) -> None:
    """The last half second shows the scene again."""
    assert of(range(WALK.length - 5, WALK.length), seen) <= SHOWN
    assert seen[-1].number == WALK.length - 1


@asynccontextmanager
async def broken(
    fault: Fault, when: range, clock: FakeClock, *, provider: str = "cpu"
) -> AsyncIterator[tuple[Any, FaultyDetector]]:
    detector = FaultyDetector(WALK, fault, when, clock=clock, provider=provider)
    async with serving(detector, clock) as batcher:
        try:
            yield batcher, detector
        finally:
            detector.release.set()


async def test_without_a_fault_every_picture_is_masked(clock: FakeClock) -> None:
    """The control for all others here."""
    async with serving(Knowing(WALK), clock) as batcher:
        seen = watch((await shoot(WALK.frames(), batcher, clock, camera())).packets)
    assert [picture.number for picture in fresh(seen)] == list(range(WALK.length))
    assert of(range(WALK.length), seen) <= SHOWN
    assert_nothing_leaks(WALK, seen)


# The detector


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_detector_that_goes_wrong_conceals_just_those_pictures(fault: Fault, clock: FakeClock) -> None:
    async with broken(fault, WHEN, clock) as (batcher, detector):
        footage = await shoot(WALK.frames(), batcher, clock, camera())
    seen = watch(footage.packets)
    assert detector.calls >= len(WHEN)
    assert footage.failure is None
    assert_nothing_leaks(WALK, seen)
    assert of(WHEN, seen) == {Verdict.FULL}
    assert_it_recovers(seen)


@pytest.mark.parametrize("fault", SILENT_FAULTS.values(), ids=SILENT_FAULTS.keys())
async def test_a_device_that_answers_nonsense_is_not_believed(fault: Fault, clock: FakeClock) -> None:
    """It misses the canary in each batch; after a few the queue ends, and with it the process, to be restarted."""
    async with broken(fault, range(12, WALK.length), clock, provider="cuda") as (batcher, _):
        seen = watch((await shoot(WALK.frames(), batcher, clock, camera())).packets)
    assert_nothing_leaks(WALK, seen)
    assert of(range(12), seen) <= SHOWN
    assert of(range(12, WALK.length), seen) == {Verdict.FULL}


async def test_a_detector_that_hangs_conceals_all_that_follows(clock: FakeClock) -> None:
    async with broken(HANGS, range(12, WALK.length), clock) as (batcher, _):
        footage = await shoot(WALK.frames(), batcher, clock, camera(), patient=False)
    seen = watch(footage.packets)
    assert_nothing_leaks(WALK, seen)
    after = [picture for picture in seen if picture.captured >= WALK.truth(13).frame.captured]
    assert {picture.verdict for picture in after} <= CONCEALED
    assert after[-1].number is None, "no picture from before"


IN_TIME = Overload().max_latency - TrackOptions().look_ahead
"""Seconds from its capture in which a picture needs its verdict: what it may take, without what it waits by design."""


@pytest.mark.parametrize("seconds", [IN_TIME / 2, IN_TIME - 0.15], ids=["ten times too slow", "nearly too late"])
async def test_a_slow_detector_costs_pictures_and_shows_no_face(seconds: float, clock: FakeClock) -> None:
    async with broken(slow(seconds), range(WALK.length), clock) as (batcher, _):
        footage = await shoot(WALK.frames(), batcher, clock, camera(), patient=False)
    seen = watch(footage.packets)
    assert_nothing_leaks(WALK, seen)
    assert any(picture.verdict in SHOWN for picture in seen)
    assert footage.status is not None
    assert footage.status.dropped["mailbox", "newer"] > 0


@pytest.mark.parametrize("seconds", [IN_TIME + 0.05, 1.5], ids=["just too late", "later than its timeout"])
async def test_a_detector_that_is_too_slow_shows_nothing(seconds: float, clock: FakeClock) -> None:
    """Its answers come while the look-ahead would still have time for them, and count for nothing all the same."""
    async with broken(slow(seconds), range(WALK.length), clock) as (batcher, detector):
        footage = await shoot(WALK.frames(), batcher, clock, camera(), patient=False)
    seen = watch(footage.packets)
    assert detector.calls
    assert_nothing_leaks(WALK, seen)
    assert {picture.verdict for picture in seen} <= CONCEALED
    assert footage.status is not None
    assert footage.status.published[Verdict.FULL], "told from a camera that is away"
    assert footage.status.overload is OverloadState.CONCEALING


# Between detector and pipeline


@pytest.mark.parametrize("spoil", [of_another_frame, of_another_generation, of_another_camera])
async def test_an_answer_for_something_else_conceals_the_picture(
    spoil: Callable[[Detections], Detections], clock: FakeClock
) -> None:
    async with serving(Knowing(WALK), clock) as batcher:
        footage = await shoot(WALK.frames(), Between(batcher, WHEN, spoil), clock, camera())
    seen = watch(footage.packets)
    assert_nothing_leaks(WALK, seen)
    assert of(WHEN, seen) == {Verdict.FULL}
    assert_it_recovers(seen)


async def test_a_defect_in_the_shared_queue_ends_the_camera_and_shows_nothing(clock: FakeClock) -> None:
    def defect(answer: Detections) -> Detections:
        raise ZeroDivisionError

    async with serving(Knowing(WALK), clock) as batcher:
        footage = await shoot(WALK.frames(), Between(batcher, WHEN, defect), clock, camera())
    seen = watch(footage.packets)
    assert_nothing_leaks(WALK, seen)
    assert footage.failure is not None, "a defect goes up; it is not hidden"
    assert max(picture.number or 0 for picture in seen) < WHEN.start


# The tracks


def track_methods() -> list[tuple[type, str]]:
    """Every public method of every class in track/, whatever is there."""
    found = []
    for module in pkgutil.iter_modules(track.__path__, f"{track.__name__}."):
        for owner in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(owner) and owner.__module__ == module.name:
                found += [(owner, name) for name in vars(owner) if inspect.isfunction(vars(owner)[name])]
    return [(owner, name) for owner, name in found if not name.startswith("_")]


@pytest.mark.parametrize(("owner", "name"), track_methods(), ids=lambda part: getattr(part, "__name__", part))
async def test_a_tracker_that_fails_shows_no_face(
    owner: type, name: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Concealed, or the camera ends: anything but a frame that nobody has finished judging."""
    method = Failing(getattr(owner, name), ZeroDivisionError(), clock)
    monkeypatch.setattr(owner, name, lambda *arguments, **options: method(*arguments, **options))
    footage = await _walk(clock)
    seen = watch(footage.packets)
    assert_nothing_leaks(WALK, seen)
    if footage.failure is None:
        assert_it_recovers(seen)


# The source


def garbled(frame: RawFrame) -> RawFrame:
    """What a decoder makes of a group of pictures with a hole: blocks in wrong places, and it says so."""
    y = frame.y.copy()
    y[40:120] = np.roll(y[40:120], 48, axis=1)
    return replace(frame, y=y, suspect="gap")


async def test_a_corrupt_group_of_pictures_is_concealed_whatever_is_in_it(clock: FakeClock) -> None:
    frames = [garbled(frame) if frame.id.index in WHEN else frame for frame in WALK.frames()]
    async with serving(Knowing(WALK), clock) as batcher:
        footage = await shoot(frames, batcher, clock, camera())
    seen = watch(footage.packets)
    assert_nothing_leaks(WALK, seen)
    assert of(WHEN, seen) == {Verdict.FULL}
    assert_it_recovers(seen)


async def test_a_suspect_picture_that_looks_fine_is_concealed_too(clock: FakeClock) -> None:
    frames = [replace(frame, suspect="gap") if frame.id.index in WHEN else frame for frame in WALK.frames()]
    async with serving(Knowing(WALK), clock) as batcher:
        seen = watch((await shoot(frames, batcher, clock, camera())).packets)
    assert_nothing_leaks(WALK, seen)
    assert of(WHEN, seen) == {Verdict.FULL}


@pytest.mark.parametrize("size", [(320, 240), (640, 360), (400, 302)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_no_face_shows_around_a_change_of_size(size: tuple[int, int], clock: FakeClock) -> None:
    """No mask of the old size is laid over a picture of the new one."""
    other = Scene("walks on", (lambda number: walk(60, 4)(number),), size=size)
    frames = [*WALK.frames()[:20], *other.frames()[20:]]
    async with serving(Knowing(WALK, other), clock) as batcher:
        footage = await shoot(frames, batcher, clock, camera())
    seen = watch(footage.packets)
    seen = [picture for picture in seen if picture.number is not None or picture.verdict is not Verdict.HELD]
    before = [picture for picture in seen if picture.luma.shape == (WALK.size[1], WALK.size[0])]
    after = [picture for picture in seen if picture.luma.shape == (size[1], size[0])]
    assert len(before) + len(after) == len(seen)
    assert_nothing_leaks(WALK, before)
    assert_nothing_leaks(other, after)
    assert {picture.number for picture in after if picture.verdict in SHOWN} >= set(range(25, WALK.length))


@pytest.mark.parametrize("gap", [0, 30], ids=["at once", "after more than a second"])
async def test_no_face_shows_when_the_camera_connects_anew(gap: int, clock: FakeClock) -> None:
    """The frames count from zero again; nothing of the first connection may be taken for one of the second."""
    old, new = WALK.frames()[:20], WALK.frames()[20:]
    again = [
        replace(frame, id=FrameId(frame.id.camera, 2, index), captured=frame.captured + gap / FPS)
        for index, frame in enumerate(new)
    ]

    def reconnect(pipeline: CameraPipeline) -> None:
        pipeline.lost(SourceFault.STALLED, "gone", 0.5)
        pipeline.next_generation()

    async with serving(Knowing(WALK), clock) as batcher:
        footage = await shoot([*old, *again], batcher, clock, camera(), before={again[0].id: reconnect})
    seen = watch(footage.packets)
    assert_nothing_leaks(WALK, seen)
    assert seen[-1].number == WALK.length - 1
    assert seen[-1].verdict in SHOWN


async def test_frames_that_come_twice_or_out_of_order_show_no_face(clock: FakeClock) -> None:
    frames = WALK.frames()
    order = [*frames[:15], frames[14], frames[13], *frames[15:]]
    async with serving(Knowing(WALK), clock) as batcher:
        footage = await shoot(order, batcher, clock, camera())
    assert_nothing_leaks(WALK, watch(footage.packets))


# Sealing and encoding


class Failing:
    """Stands in for a function and raises for some of the calls, counted from the scene's start."""

    def __init__(self, real: Callable[..., Any], error: Exception, clock: FakeClock) -> None:
        self._real = real
        self._error = error
        self._clock = clock
        self._start = WALK.truth(0).frame.captured
        self.raised = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if round((self._clock.monotonic() - self._start) * FPS) in WHEN:
            self.raised += 1
            raise self._error
        return self._real(*arguments, **options)


async def test_an_effect_that_fails_conceals_the_whole_picture(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide = Failing(effects.hide, ValueError("no such cell"), clock)
    monkeypatch.setattr(effects, "hide", hide)
    seen = watch((await _walk(clock)).packets)
    assert hide.raised
    assert Verdict.FULL in {picture.verdict for picture in seen}
    assert_nothing_leaks(WALK, seen)
    assert_it_recovers(seen)


async def test_a_slate_is_shown_when_even_concealing_fails(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hide", "hide_all"):
        monkeypatch.setattr(effects, name, Failing(getattr(effects, name), MemoryError("none left"), clock))
    seen = watch((await _walk(clock)).packets)
    assert Verdict.FULL in {picture.verdict for picture in seen}
    assert_nothing_leaks(WALK, seen)
    assert_it_recovers(seen)


async def test_an_encoder_that_fails_loses_pictures_and_shows_no_face(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = Failing(encoder.video_frame, ValueError("no such format"), clock)
    monkeypatch.setattr(encoder, "video_frame", convert)
    footage = await _walk(clock)
    seen = watch(footage.packets)
    assert footage.status is not None
    assert footage.status.dropped["encode", "failed"] == convert.raised > 0
    assert_nothing_leaks(WALK, seen)
    assert_it_recovers(seen)


async def test_a_defect_in_the_anonymiser_ends_the_camera_and_shows_nothing(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = Failing(Anonymiser.seal, ZeroDivisionError(), clock)
    monkeypatch.setattr(Anonymiser, "seal", lambda *arguments, **options: seal(*arguments, **options))
    footage = await _walk(clock)
    seen = watch(footage.packets)
    assert (seal.raised, footage.failure is None) == (1, False), "a defect goes up; it is not hidden"
    assert_nothing_leaks(WALK, seen)
    assert {picture.number for picture in fresh(seen)} <= set(range(WHEN.start + 1))


async def _walk(clock: FakeClock) -> Footage:
    async with serving(Knowing(WALK), clock) as batcher:
        return await shoot(WALK.frames(), batcher, clock, camera())
