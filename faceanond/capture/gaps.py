"""Whether a picture was lost, told by the timestamps alone. Pure; for streams whose pictures carry no number."""

from __future__ import annotations

from collections import deque

WINDOW = 16
"""Steps that are remembered: half a second at 30 fps, so that a new frame rate is accepted soon."""
ENOUGH = 4
"""Steps that must be known before one can be called too long."""
SHARE = 0.75
"""The usual step is this quantile of the window: a stream that alternates between two steps (33 and 50 ms) is judged
by the longer one, and a few losses do not stretch it."""
FACTOR = 1.5
"""A lost picture doubles the step; jitter of timestamps (which are the camera's, not the network's) stays below."""


class GapDetector:
    """Takes presentation times in display order, in seconds; says for each whether something is missing before it.

    A drop of the frame rate to less than two thirds looks just like a loss: it is reported, once or twice, until the
    new step has become the usual one. A step backwards or of zero says nothing about a loss and starts anew.
    """

    def __init__(self) -> None:
        self._steps: deque[float] = deque(maxlen=WINDOW)
        self._last: float | None = None

    def gap(self, time: float) -> bool:
        """True when at least one picture seems to be missing before the one of this time."""
        last, self._last = self._last, time
        if last is None:
            return False
        step = time - last
        if step <= 0:
            self._steps.clear()
            return False
        usual = self._usual()
        self._steps.append(step)
        return usual is not None and step > usual * FACTOR

    def _usual(self) -> float | None:
        if len(self._steps) < ENOUGH:
            return None
        ordered = sorted(self._steps)
        return ordered[min(len(ordered) - 1, int(len(ordered) * SHARE))]
