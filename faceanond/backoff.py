"""When to try again: exponential back-off with full jitter, reset by a good run."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST = 0.5
"""Seconds before the first retry: short enough that a camera's reboot is not noticed twice."""
LONGEST = 30.0
"""Seconds at most: a camera that comes back is shown within half a minute."""
GOOD_RUN = 30.0
"""Seconds that a run must have lasted for its end to count as a new trouble, not the old one."""


class Backoff:
    """The delays of one camera. Pure but for the random numbers, which are injected."""

    def __init__(self, *, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._failures = 0

    @property
    def failures(self) -> int:
        """Failed runs since the last good one."""
        return self._failures

    def failed(self, run_seconds: float) -> float:
        """Notes the end of a run that lasted so long; returns the seconds to wait (half to all of the step)."""
        if run_seconds >= GOOD_RUN:
            self._failures = 0
        step = min(LONGEST, FIRST * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return step * (0.5 + 0.5 * self._jitter())
