"""How much a batch may hold, learnt from how long the last ones took. Pure.

Rule: a batch should take about as long as a camera's next picture, whatever the machine, the detector, and how full
the pictures are. While everything that waits fits into such a batch, no camera misses a picture; once it does not, the
order of the queue decides, and a camera waits for a batch of others no longer than for its own next picture (unless
that batch is one frame that is larger than this: it cannot be cut).
"""

from __future__ import annotations

BATCH_TIME = 0.04
"""Seconds: the time between two pictures of most cameras."""
FIRST = 800_000
"""Pixels of pyramid (`detect/cost`) that one core of an EPYC does in that time with the float networks. Any start would
do: a fast device is known after a few batches, since a batch that took a tenth of its time lets the next hold nearly
ten times as much."""
_WEIGHT = 0.25
"""Of the newest batch in the mean: one hiccup of the machine is smoothed, a crowd in the pictures is soon noticed."""


class Pace:
    """Cost that the detector does in BATCH_TIME, as a running mean."""

    def __init__(self) -> None:
        self._budget = float(FIRST)

    @property
    def budget(self) -> int:
        """What the next batch may cost; at least 1."""
        return max(1, int(self._budget))

    def note(self, cost: int, seconds: float) -> None:
        """A batch of that cost took so long. What took no time that the clock can tell says nothing."""
        if seconds > 0:
            self._budget += _WEIGHT * (cost * BATCH_TIME / seconds - self._budget)
