"""Repeated events become one line a second."""

from __future__ import annotations

from faceanond.ratelimit import RateLimited, Repeated
from tests.conftest import FakeClock


def test_the_first_event_is_told_at_once(clock: FakeClock) -> None:
    assert RateLimited[str](clock).note("a") == Repeated(1, "a")


async def test_the_events_of_a_second_are_told_together_with_the_last(clock: FakeClock) -> None:
    events = RateLimited[int](clock)
    told = []
    for number in range(40):  # ten a second for four seconds
        told.append(events.note(number))
        await clock.advance(0.1)
    lines = [line for line in told if line]
    assert lines[0] == Repeated(1, 0)
    assert 4 <= len(lines) <= 5
    rest = events.rest()
    assert sum(line.count for line in lines) + (rest.count if rest else 0) == 40


def test_the_rest_is_told_once(clock: FakeClock) -> None:
    events = RateLimited[str](clock)
    events.note("a")
    events.note("b")
    assert events.rest() == Repeated(1, "b")
    assert events.rest() is None


async def test_an_event_after_a_quiet_time_is_told_at_once(clock: FakeClock) -> None:
    events = RateLimited[str](clock)
    events.note("a")
    await clock.advance(1.0)
    assert events.note("b") == Repeated(1, "b")
