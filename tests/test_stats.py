import pytest

from faceanond.stats import Histogram, RateMeter


def test_a_histogram_counts_each_value_up_to_its_bound() -> None:
    histogram = Histogram(1.0, 2.0)
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    snapshot = histogram.snapshot()
    assert snapshot.cumulative == (2, 3, 4)
    assert snapshot.count == 4
    assert snapshot.total == pytest.approx(12.0)


def test_a_rate_is_events_over_their_span() -> None:
    meter = RateMeter(window=2.0)
    for step in range(51):
        meter.tick(step / 25)
    assert meter.rate(2.0) == pytest.approx(25.0)


def test_a_rate_falls_to_zero_when_nothing_comes() -> None:
    meter = RateMeter(window=2.0)
    for step in range(10):
        meter.tick(step / 10)
    assert meter.rate(10.0) == 0.0
