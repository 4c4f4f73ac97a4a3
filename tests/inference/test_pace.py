from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.inference.pace import BATCH_TIME, FIRST, Pace


def after(batches: int, *, speed: float, overhead: float = 0.0) -> Pace:
    """Batches that fill their budget, on a device that does `speed` a second."""
    pace = Pace()
    for _ in range(batches):
        pace.note(pace.budget, overhead + pace.budget / speed)
    return pace


def test_it_begins_with_a_guess() -> None:
    assert Pace().budget == FIRST


@pytest.mark.parametrize("speed", [2_000_000, 10_000_000, 1_000_000_000])
def test_a_full_batch_soon_takes_the_time_that_it_should(speed: float) -> None:
    assert after(30, speed=speed).budget / speed == pytest.approx(BATCH_TIME, rel=0.01)


def test_a_device_that_is_slow_to_begin_is_given_large_batches_all_the_same() -> None:
    pace = after(30, speed=1e9, overhead=0.01)
    assert 0.01 + pace.budget / 1e9 == pytest.approx(BATCH_TIME, rel=0.01)


def test_small_batches_while_little_waits_do_not_stand_in_the_way_of_larger_ones() -> None:
    pace = Pace()
    for _ in range(100):
        pace.note(30_000, 0.01)
    grown = [pace.budget]
    for _ in range(40):
        pace.note(pace.budget, 0.01 + pace.budget / 1e9)
        grown.append(pace.budget)
    assert grown == sorted(grown)
    assert 0.01 + grown[-1] / 1e9 == pytest.approx(BATCH_TIME, rel=0.01)


def test_one_hiccup_changes_little() -> None:
    pace = after(30, speed=1e7)
    before = pace.budget
    pace.note(before, 10.0)
    assert pace.budget > before / 2


def test_a_clock_that_stands_still_teaches_nothing() -> None:
    pace = Pace()
    pace.note(1_000_000, 0.0)
    assert pace.budget == FIRST


@given(st.lists(st.tuples(st.integers(1, 10**9), st.floats(1e-9, 1e6)), max_size=50))
def test_whatever_happens_a_budget_remains(batches: list[tuple[int, float]]) -> None:
    pace = Pace()
    for cost, seconds in batches:
        pace.note(cost, seconds)
        assert pace.budget >= 1
