"""Keeps some pictures of many, evenly. Pure."""

from __future__ import annotations


class Spacing:
    """Says which pictures to keep so that about `rate` a second remain. Used by one thread."""

    def __init__(self) -> None:
        self._next = 0.0

    def keeps(self, captured: float, rate: float) -> bool:
        """Spreads the kept pictures evenly; a quarter step of slack, so that 25 of 25 fps are not every other one."""
        step = 1.0 / rate
        self._next = min(self._next, captured + 1.25 * step)  # what a slower rate had planned does not bind this one
        if captured < self._next - step / 4:
            return False
        late = captured - self._next
        self._next = (self._next if late < step else captured) + step
        return True
