"""From milliseconds to cameras."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from faceanond.daemon.bench.figures import (
    BatchCost,
    Cost,
    Spread,
    Times,
    Together,
    asked_too_much,
    capacity,
    full_load,
    likely_batch,
    mean_between,
    overhead_of,
    run_seconds,
    there_and_back,
)
from faceanond.stats import Histogram


def cost(cpu: float, wall: float | None = None) -> Cost:
    def flat(value: float) -> Spread:
        return Spread(value, value, value)

    return Cost(100, flat(cpu), flat(cpu if wall is None else wall))


STAGES = {"decode": cost(2), "detect": cost(20), "seal": cost(1), "encode": cost(5)}
ALONE = 28
SINGLE = [BatchCost(1, 20, 20)]


def together(
    *, cameras: int = 2, fps: float = 25, share: float = 1.0, concealed: int = 0, overhead: float = 1.0
) -> Together:
    """Ten seconds in which such a share of the frames came out, at so many times the stages' own cost."""
    captured = round(cameras * fps * 10)
    looked = round(share * captured)
    cpu = overhead * (captured * 2 + (looked + concealed) * 26) / 1000
    return Together(cameras, fps, 10.0, captured, looked, concealed, cpu, 1.0)


def test_a_spread_has_mean_median_and_95th_percentile() -> None:
    assert Spread.of([float(value) for value in range(1, 101)]) == Spread(50.5, 50.5, 95)
    assert Spread.of([3, 1, 2]) == Spread(2, 2, 3)
    assert Spread.of([7]) == Spread(7, 7, 7)


def test_collected_times_become_a_cost() -> None:
    times = Times(cpu=[1, 3], wall=[2, 6])
    assert times.cost() == Cost(2, Spread(2, 2, 3), Spread(4, 4, 6))


def test_the_processor_is_the_limit_when_few_cores_do_everything() -> None:
    found = capacity(STAGES, SINGLE, None, cores=1, fps=10)
    assert found.limit == "processor"
    assert found.limits == pytest.approx({"processor": 1000 / ALONE, "detector": 50})
    assert found.frames_per_second == pytest.approx(35.7, abs=0.1)
    assert found.cameras == 2, "80 % of 35.7 frames a second are 28"
    assert (found.work, found.overhead) == (ALONE, None)


def test_the_shared_detector_is_the_limit_when_there_are_many_cores() -> None:
    found = capacity(STAGES, SINGLE, None, cores=16, fps=25)
    assert found.limit == "detector"
    assert found.frames_per_second == 50
    assert found.cameras == 1


def test_a_detector_on_a_gpu_limits_by_the_time_that_passes_not_by_the_processors() -> None:
    stages = {**STAGES, "detect": cost(2, 4)}
    found = capacity(stages, [BatchCost(1, 2, 4), BatchCost(8, 1, 1)], None, cores=64, fps=25)
    assert found.limits == {"processor": 64_000 / 9, "detector": 1000}
    assert found.cameras == 32


@pytest.mark.parametrize(("wall", "cameras"), [(40, 0), (32, 1), (33, 0), (16, 2)])
def test_a_camera_counts_only_as_a_whole_and_inside_the_planned_share(wall: float, cameras: int) -> None:
    found = capacity(STAGES, [BatchCost(1, wall, wall)], None, cores=16, fps=25)
    assert found.cameras == cameras


def test_what_joining_the_stages_costs_is_counted() -> None:
    found = capacity(STAGES, SINGLE, together(overhead=1.25), cores=1, fps=25)
    assert found.overhead == pytest.approx(1.25)
    assert found.work == pytest.approx(1.25 * ALONE)
    assert found.frames_per_second == pytest.approx(1000 / 35)


def test_frames_that_were_read_and_dropped_are_no_overhead() -> None:
    assert overhead_of(STAGES, 20, together(share=0.5)) == pytest.approx(1)


def test_a_run_with_too_few_answers_says_nothing_about_the_cost() -> None:
    assert overhead_of(STAGES, 20, together(share=0.03)) is None
    assert overhead_of(STAGES, 20, together(share=0.5, concealed=100)) is None
    assert capacity(STAGES, SINGLE, together(share=0.03), cores=1, fps=25).work == ALONE


def test_cameras_that_fell_behind_though_the_parts_are_fast_enough_are_a_limit_of_their_own() -> None:
    found = capacity(STAGES, SINGLE, together(cameras=1, share=0.8), cores=8, fps=25)
    assert found.limit == "together"
    assert found.limits["together"] == pytest.approx(20)
    assert found.cameras == 0


def test_a_few_late_frames_are_no_limit() -> None:
    assert "together" not in capacity(STAGES, SINGLE, together(cameras=1, share=0.92), cores=8, fps=25).limits


def test_cameras_that_were_too_many_from_the_start_say_nothing_about_joining() -> None:
    assert "together" not in capacity(STAGES, SINGLE, together(cameras=2, share=0.6), cores=1, fps=25).limits


@pytest.mark.parametrize(("cameras", "share", "again"), [(2, 0.6, True), (2, 0.95, False), (1, 0.6, False)])
def test_cameras_that_were_too_many_once_joining_is_known_are_tried_again_with_fewer(
    cameras: int, share: float, again: bool
) -> None:
    run = together(cameras=cameras, share=share)
    assert asked_too_much(run, capacity(STAGES, SINGLE, run, cores=1, fps=25)) is again


def test_a_run_of_a_few_frames_says_nothing_about_a_limit() -> None:
    few = Together(1, 5, 3.0, 15, 0, 6, 0.4, 1.0)
    assert "together" not in capacity(STAGES, SINGLE, few, cores=8, fps=5).limits
    assert "together" in capacity(STAGES, SINGLE, replace(few, seconds=4.0, captured=20), cores=8, fps=5).limits


@pytest.mark.parametrize(
    ("planned", "asked", "seconds"), [(2.2, 50, 2.2), (1.1, 5, 16 / 3), (2.2, 0.5, 10), (60, 1, 60)]
)
def test_a_common_run_of_large_pictures_lasts_longer(planned: float, asked: float, seconds: float) -> None:
    assert run_seconds(planned, asked) == pytest.approx(seconds)


def test_frames_that_other_programs_kept_from_coming_out_are_no_limit_of_this_one() -> None:
    run = together(cameras=1, share=0.5)
    assert "together" not in capacity(STAGES, SINGLE, run, cores=8, fps=25, others=0.4).limits
    assert "together" in capacity(STAGES, SINGLE, run, cores=8, fps=25, others=0.02).limits


def test_a_batch_comes_about_only_with_as_many_cameras_as_it_has_frames() -> None:
    batches = [BatchCost(1, 20, 20), BatchCost(8, 10, 10)]
    assert likely_batch(batches, fps=25).frames == 1, "100 frames a second are 3 cameras at 25"
    assert likely_batch(batches, fps=10).frames == 8, "and 8 at 10"


def test_a_batch_comes_about_also_when_it_is_no_faster() -> None:
    assert likely_batch([BatchCost(1, 1, 1), BatchCost(8, 2, 2)], fps=25).frames == 8


def test_the_processor_pays_for_the_batch_that_comes_about() -> None:
    batches = [BatchCost(1, 20, 20), BatchCost(8, 4, 4)]
    assert capacity(STAGES, batches, None, cores=64, fps=10).work == 8 + 4
    assert capacity(STAGES, batches, None, cores=64, fps=100).work == ALONE


def test_the_mean_between_two_snapshots_leaves_out_what_was_before() -> None:
    histogram = Histogram(1, 10)
    assert mean_between(None, histogram.snapshot()) is None
    histogram.observe(100)
    before = histogram.snapshot()
    assert mean_between(before, before) is None
    histogram.observe(2)
    histogram.observe(4)
    assert mean_between(before, histogram.snapshot()) == 3
    assert mean_between(None, before) == 100


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_a_clip_is_played_there_and_back_without_a_jump(count: int) -> None:
    order = there_and_back(count)
    assert set(order) == set(range(count))
    assert all(abs(one - other) <= 1 for one, other in pairwise([*order, *order]))
    assert len(order) == max(1, 2 * count - 2)


@pytest.mark.parametrize(("looked", "share"), [(0, 0.0), (2, 0.5), (4, 1.0), (5, 1.0)])
def test_the_share_that_came_out_is_never_more_than_all(looked: int, share: float) -> None:
    assert Together(1, 4, 1.0, 5, looked, 0, 0.1, 1.0).share == share


@pytest.mark.parametrize(
    ("frames_per_second", "fps", "cameras", "rate"),
    [(100, 25, 4, 22.5), (30, 25, 2, 13.5), (20, 25, 1, 18), (3, 25, 1, 2.7), (1000, 25, 36, 25), (9000, 25, 64, 25)],
)
def test_the_common_run_fills_the_machine_to_nine_tenths_with_cameras_that_are_not_too_fast(
    frames_per_second: float, fps: float, cameras: int, rate: float
) -> None:
    assert full_load(frames_per_second, fps, most=64) == (cameras, pytest.approx(rate))


def test_a_run_at_full_load_that_falls_behind_is_a_limit_also_by_the_rounding_of_numbers() -> None:
    cameras, rate = full_load(50, 25, most=64)
    run = replace(together(cameras=cameras, fps=rate, share=0.8), cpu_seconds=0.0)
    assert capacity(STAGES, SINGLE, replace(run, concealed=1000), cores=8, fps=25).limit == "together"
