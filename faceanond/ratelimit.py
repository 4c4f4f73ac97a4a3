"""Repeated events become one line a second: how many there were, and the last of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Repeated(Generic[T]):
    """What is to be told now: `count` events since the last telling, of which `last` is the newest."""

    count: int
    last: T


class RateLimited(Generic[T]):
    """Says when to tell about one kind of event. Used by one thread at a time, on the caller's clock.

        failed = RateLimited[Exception]()
        ...
        if told := failed.note(error, clock.monotonic()):
            log.warning("decoding failed", count=told.count, detail=str(told.last))

    The first event is told at once. Whoever ends a run of events calls `rest`, so that the last ones are told too.
    """

    def __init__(self, *, interval: float = 1.0) -> None:
        self._interval = interval
        self._told: float | None = None
        self._waiting: Repeated[T] | None = None

    def note(self, event: T, now: float) -> Repeated[T] | None:
        """Counts one event; returns what to tell, or None when something was told less than an interval ago."""
        count = self._waiting.count if self._waiting else 0
        self._waiting = Repeated(count + 1, event)
        if self._told is not None and now - self._told < self._interval:
            return None
        self._told = now
        return self.rest()

    def rest(self) -> Repeated[T] | None:
        """What was counted and not told yet; after this it counts as told."""
        waiting, self._waiting = self._waiting, None
        return waiting
