"""What is measured: sizes, rates and seconds that can be, and what is said of those that cannot."""

from __future__ import annotations

import pytest

from faceanond.daemon.bench import plan as module
from faceanond.daemon.bench.plan import CLIP_FRAMES, LEAST_HELD, batch_sizes, make_plan
from faceanond.errors import ExitCode, UsageError


@pytest.mark.parametrize("size", ["160x120", "1280x720", "720x1280", "3840x2160", "8192x4320", "4320x8192"])
def test_a_size_that_a_camera_may_have_is_taken(size: str) -> None:
    plan = make_plan(size, fps=25, seconds=10)
    assert f"{plan.width}x{plan.height}" == size


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("abc", "expected WIDTHxHEIGHT in pixels, such as 1280x720"),
        ("", "expected WIDTHxHEIGHT"),
        ("1280", "expected WIDTHxHEIGHT"),
        ("1280x", "expected WIDTHxHEIGHT"),
        ("-1280x720", "expected WIDTHxHEIGHT"),
        ("1280X720", "expected WIDTHxHEIGHT"),
        ("1280x720 ", "expected WIDTHxHEIGHT"),
        ("1280x720\n", "expected WIDTHxHEIGHT"),
        ("١٢٨٠x720", "expected WIDTHxHEIGHT"),
        ("9" * 5000 + "x720", "expected WIDTHxHEIGHT"),
        ("12x7", "expected at least 160x120"),
        ("0x0", "expected at least 160x120"),
        ("160x118", "expected at least 160x120"),
        ("8194x720", "expected at most 8192 pixels a side"),
        ("8192x8192", "35.7 million in all"),
        ("1281x720", "expected even numbers"),
        ("1280x721", "expected even numbers"),
    ],
)
def test_any_other_size_is_refused_with_what_was_expected(size: str, expected: str) -> None:
    with pytest.raises(UsageError, match="--size") as caught:
        make_plan(size, fps=25, seconds=10)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(("seconds", "fps"), [(1.9, 25), (601, 25), (10, 0.5), (10, 121), (10, -1), (10, float("nan"))])
def test_seconds_and_rates_out_of_bounds_are_refused(seconds: float, fps: float) -> None:
    with pytest.raises(UsageError, match=r"--(seconds|fps) \S+: expected"):
        make_plan("1280x720", fps=fps, seconds=seconds)


def test_fewer_large_pictures_are_held_than_small_ones() -> None:
    assert make_plan("640x480", fps=25, seconds=10).held == CLIP_FRAMES
    assert make_plan("3840x2160", fps=25, seconds=10).held == 16
    assert make_plan("8192x4320", fps=25, seconds=10).held == LEAST_HELD


def test_the_shares_of_the_time_leave_some_for_the_start() -> None:
    shares = [value for name, value in vars(module).items() if name.endswith("_SHARE")]
    assert len(shares) == 5
    assert 0.7 <= sum(shares) < 0.9


@pytest.mark.parametrize(
    ("max_batch", "provider", "sizes"),
    [
        (16, "cpu", [1, 8]),
        (16, "cuda", [1, 8, 16]),
        (8, "cuda", [1, 8]),
        (4, "cpu", [1, 4]),
        (1, "cpu", [1]),
        (1, "cuda", [1]),
        (256, "tensorrt", [1, 8, 256]),
    ],
)
def test_batches_of_one_and_eight_are_compared_and_on_a_gpu_the_largest(
    max_batch: int, provider: str, sizes: list[int]
) -> None:
    assert batch_sizes(max_batch, provider) == sizes
