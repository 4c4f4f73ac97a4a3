from __future__ import annotations

import itertools

import pytest

from faceanond.pipeline.spacing import Spacing


def kept(
    spacing: Spacing, rate: float, *, fps: float = 25.0, seconds: float = 20.0, start: float = 1000.0
) -> list[float]:
    times = [start + number / fps for number in range(round(seconds * fps))]
    return [time for time in times if spacing.keeps(time, rate)]


@pytest.mark.parametrize("rate", [0.7, 1.0, 4.0, 9.0, 12.5, 20.0, 24.9])
def test_about_so_many_are_kept_and_evenly(rate: float) -> None:
    """But for the first two, which the slack may bring nearer to each other."""
    times = kept(Spacing(), rate)
    assert len(times) == pytest.approx(20 * rate, abs=2)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times[1:])]
    assert max(gaps) - min(gaps) <= 1 / 25 + 1e-6


@pytest.mark.parametrize("rate", [25.0, 25.3, 30.0, 1000.0])
def test_a_camera_that_is_no_faster_keeps_every_picture(rate: float) -> None:
    assert len(kept(Spacing(), rate)) == 500


def test_a_faster_rate_counts_at_once() -> None:
    spacing = Spacing()
    kept(spacing, 0.2)
    assert len(kept(spacing, 10.0, seconds=1.0, start=1020.0)) >= 8
