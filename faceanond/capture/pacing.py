"""Waiting inside a capture thread: on the injected clock, and ended at once by an interrupt."""

from __future__ import annotations

import threading
from collections.abc import Callable

from faceanond.clock import Clock

Wait = Callable[[float], object]
"""Blocks the thread for at most so many seconds; may return earlier."""
CATCH_UP = 1.0
"""Seconds that a source may be late before it gives up its old schedule instead of hurrying after it."""


class Pacer:
    """Lets a thread go on when its moment has come.

    `longest` bounds one wait: a recording with a pause of an hour is not a camera that hangs.
    """

    def __init__(self, clock: Clock, *, longest: float, wait: Wait | None = None) -> None:
        self._clock = clock
        self._longest = longest
        self._stopped = threading.Event()
        self._wait: Wait = wait if wait is not None else self._stopped.wait
        self._origin: float | None = None

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """Ends the present wait and all later ones. From any thread."""
        self._stopped.set()

    def until(self, time: float, *, ahead: float = 0.0) -> bool:
        """Waits for `time` seconds (less `ahead`) after the first call; False when stopped.

        A source that is late by more than CATCH_UP starts a new schedule, and so does one whose wait was cut short.
        """
        now = self._clock.monotonic()
        if self._origin is None or self._origin + time < now - CATCH_UP:
            self._origin = now - time
        due = self._origin + time - ahead
        if due > now + self._longest:
            due = now + self._longest
            self._origin = due - time + ahead
        while not self.stopped and (rest := due - self._clock.monotonic()) > 0:
            self._wait(rest)
        return not self.stopped
