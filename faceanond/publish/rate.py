"""At which rate a camera's pictures come, told from their timestamps. Pure."""

from __future__ import annotations

from faceanond.publish.packet import CLOCK_RATE

ENOUGH_FRAMES = 8
"""Fewer frames say nothing about a rate."""
SOON = 1.0
"""Seconds of measuring after which a rate that is far too high is believed; a burst behind a hiccup is shorter."""
FAR_TOO_HIGH = 1.5
"""Times the rate that was assumed: so much more data than the bit rate allows, until somebody notices."""


class RateMeasure:
    """Counts a camera's frames from one moment to the next; timestamps are ticks of 90 kHz.

    Only frames that follow each other at the camera's own pace count: a held picture ends the count, and the camera's
    next one begins it anew.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._latest = 0
        self._frames = 0

    def restart(self) -> None:
        """Forgets what was counted; the next frame is the first."""
        self._first = None

    def add(self, timestamp: int) -> None:
        """A frame of the camera."""
        if self._first is None:
            self._first, self._frames = timestamp, 0
        else:
            self._frames += 1
        self._latest = timestamp

    def rate(self) -> float | None:
        """Frames a second so far; None when they are too few to tell."""
        if self._first is None or self._frames < ENOUGH_FRAMES or self._latest <= self._first:
            return None
        return self._frames * CLOCK_RATE / (self._latest - self._first)

    def far_above(self, assumed: float) -> bool:
        """Whether the frames have come so much faster than assumed, for so long, that it should be corrected now."""
        rate = self.rate()
        if rate is None or self._first is None or self._latest - self._first < SOON * CLOCK_RATE:
            return False
        return rate > FAR_TOO_HIGH * assumed
