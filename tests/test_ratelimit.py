"""Repeated events become one line a second."""

from __future__ import annotations

from faceanond.ratelimit import RateLimited, Repeated


def test_the_first_event_is_told_at_once() -> None:
    assert RateLimited[str]().note("a", 1000.0) == Repeated(1, "a")


def test_the_events_of_a_second_are_told_together_with_the_last() -> None:
    events = RateLimited[int]()
    told = {number: line for number in range(9) if (line := events.note(number, 1000.0 + number / 4))}
    assert told == {0: Repeated(1, 0), 4: Repeated(4, 4), 8: Repeated(4, 8)}


def test_the_rest_is_told_once() -> None:
    events = RateLimited[str]()
    events.note("a", 1000.0)
    events.note("b", 1000.1)
    events.note("c", 1000.2)
    assert events.rest() == Repeated(2, "c")
    assert events.rest() is None


def test_an_event_after_a_quiet_time_is_told_at_once() -> None:
    events = RateLimited[str]()
    events.note("a", 1000.0)
    assert events.note("b", 1001.0) == Repeated(1, "b")


def test_the_interval_is_the_callers_choice() -> None:
    events = RateLimited[str](interval=10.0)
    events.note("a", 1000.0)
    assert events.note("b", 1009.0) is None
    assert events.note("c", 1010.0) == Repeated(2, "c")
