"""One steady time line out of whatever timestamps a source gives. Pure."""

from __future__ import annotations

LONGEST_STEP = 10.0
"""Seconds. A larger jump in a live stream is a new clock in the camera (cameras with "smart" codecs and those that
set their clock do it), not a pause."""
SHORTEST_STEP = 0.001
"""Seconds between two pictures of one time: less cannot be told apart in a 90 kHz stream with jitter."""
NOMINAL = 0.04
"""Seconds for one picture when nothing is known: 25 fps."""


class Timeline:
    """Seconds since the source's start, strictly increasing: over loops, jumps and missing timestamps.

    `live`: where the stream's own times fail, the times of arrival decide; else the usual step does, and long
    pauses are kept.
    """

    def __init__(self, *, live: bool, step: float = 0.0) -> None:
        self._live = live
        self._step = step if step > 0 else NOMINAL
        self._now: float | None = None
        self._raw: float | None = None
        self._arrived = 0.0

    def restart(self) -> None:
        """The source begins again from its first picture (a loop)."""
        self._raw = None

    def next(self, raw: float | None, arrived: float) -> float:
        """The time of the next picture; `raw` is the stream's own time in seconds, `arrived` the local clock's."""
        now = 0.0 if self._now is None else self._now + self._forward(raw, arrived)
        self._now, self._arrived = now, arrived
        self._raw = raw
        return now

    def _forward(self, raw: float | None, arrived: float) -> float:
        step = raw - self._raw if raw is not None and self._raw is not None else 0.0
        if step > 0 and not (self._live and step > LONGEST_STEP):
            return max(step, SHORTEST_STEP)
        return max(arrived - self._arrived, SHORTEST_STEP) if self._live else self._step
