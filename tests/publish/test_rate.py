from __future__ import annotations

import pytest

from faceanond.publish.packet import CLOCK_RATE
from faceanond.publish.rate import ENOUGH_FRAMES, RateMeasure


def counted(frames: int, fps: float) -> RateMeasure:
    measure = RateMeasure()
    for index in range(frames):
        measure.add(round(index * CLOCK_RATE / fps))
    return measure


@pytest.mark.parametrize("fps", [1.0, 12.5, 29.97, 120.0])
def test_the_rate_of_steady_frames_is_theirs(fps: float) -> None:
    assert counted(ENOUGH_FRAMES + 1, fps).rate() == pytest.approx(fps, rel=1e-3)


def test_few_frames_tell_no_rate() -> None:
    assert counted(0, 25).rate() is None
    assert counted(ENOUGH_FRAMES, 25).rate() is None


def test_frames_of_one_moment_tell_no_rate() -> None:
    measure = RateMeasure()
    for _ in range(20):
        measure.add(5)
    assert measure.rate() is None


def test_a_pause_does_not_count_when_the_measure_is_restarted_behind_it() -> None:
    measure = counted(100, 25)
    measure.restart()
    assert measure.rate() is None
    for index in range(ENOUGH_FRAMES + 1):
        measure.add(10_000_000 + index * CLOCK_RATE // 10)
    assert measure.rate() == pytest.approx(10)


def test_a_rate_far_above_is_believed_after_a_second() -> None:
    assert not counted(55, 60).far_above(25)
    assert counted(62, 60).far_above(25)


@pytest.mark.parametrize("fps", [5.0, 25.0, 30.0])
def test_a_lower_or_slightly_higher_rate_can_wait(fps: float) -> None:
    assert not counted(200, fps).far_above(25)
