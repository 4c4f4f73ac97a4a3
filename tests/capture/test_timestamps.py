"""One steady time line."""

import itertools

import pytest

from faceanond.capture.timestamps import Timeline


def test_times_start_at_zero_and_follow_the_source() -> None:
    line = Timeline(live=False, step=0.04)
    assert [line.next(raw, 0.0) for raw in (7.0, 7.04, 7.5)] == pytest.approx([0.0, 0.04, 0.5])


def test_a_loop_goes_on_one_step_after_the_last_picture() -> None:
    line = Timeline(live=False, step=0.1)
    for raw in (0.0, 0.1, 0.2):
        line.next(raw, 0.0)
    line.restart()
    assert [line.next(raw, 0.0) for raw in (0.0, 0.1)] == pytest.approx([0.3, 0.4])


def test_missing_times_in_a_file_advance_by_its_frame_rate() -> None:
    line = Timeline(live=False, step=0.5)
    assert [line.next(None, 0.0) for _ in range(3)] == pytest.approx([0.0, 0.5, 1.0])


def test_missing_times_in_a_live_stream_are_those_of_arrival() -> None:
    line = Timeline(live=True)
    assert [line.next(None, arrived) for arrived in (50.0, 50.1, 50.3)] == pytest.approx([0.0, 0.1, 0.3])


def test_a_jump_of_the_cameras_clock_becomes_the_time_that_really_passed() -> None:
    line = Timeline(live=True)
    times = [line.next(raw, arrived) for raw, arrived in ((1.0, 50.0), (3600.0, 50.04), (3600.04, 50.09), (2.0, 50.13))]
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12])


def test_a_long_pause_in_a_file_is_kept() -> None:
    line = Timeline(live=False, step=0.04)
    assert [line.next(raw, 0.0) for raw in (0.0, 60.0)] == [0.0, 60.0]


@pytest.mark.parametrize("live", [True, False])
def test_times_always_increase(live: bool) -> None:
    line = Timeline(live=live)
    raws = [0.0, 0.0, None, -5.0, 3.0, 3.0, 2.9999, None, 1e9]
    times = [line.next(raw, 10.0) for raw in raws]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
