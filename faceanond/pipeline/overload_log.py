"""What the log says about a camera's overload: each move that is news, and no flood where a load comes and goes."""

from __future__ import annotations

import math

import structlog

from faceanond.pipeline.overload import Ladder
from faceanond.status import OverloadState

log = structlog.get_logger(__name__)

TOLD_EVERY = 300.0
"""Seconds in which it is told once that a camera stands on a rung: one that is overloaded moves between two of them
every few seconds, and forty do so together. The metrics know every move."""
REMEDY = "a larger detector.min_size, more detector.threads, a smaller stream, or fewer cameras on this machine"

_MEANINGS = {
    OverloadState.NONE: "keeps up again; every picture is looked at and shown",
    OverloadState.DROPPING: "cannot keep up; pictures are dropped before detection",
    OverloadState.REDUCED: "still cannot keep up; fewer pictures are let in, evenly",
    OverloadState.CONCEALING: "cannot keep up; pictures that come too late are concealed",
}


class OverloadLog:
    """Tells of one camera's ladder."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._told = self._seen = OverloadState.NONE
        self._told_at: dict[OverloadState, float] = {}
        self._moves = 0

    def reset(self) -> None:
        """The camera begins anew, which is told elsewhere."""
        self._told = self._seen = OverloadState.NONE
        self._moves = 0

    def look(self, ladder: Ladder, now: float) -> None:
        """One line when the ladder stands on another rung than was told last, with what can be done about it.

        A rung that was told less than TOLD_EVERY seconds ago is told later, if the ladder still stands on it then.
        """
        state, before = ladder.state, self._told
        if state is not self._seen:
            self._seen = state
            self._moves += 1
        if state is before or now - self._told_at.get(state, -math.inf) < TOLD_EVERY:
            return
        facts = {"camera": self._camera, "state": state.value, "before": before.value, "moves": self._moves}
        self._told, self._told_at[state], self._moves = state, now, 0
        if ladder.rate != math.inf:
            facts["fps"] = f"{ladder.rate:.1f}"
        rungs = list(OverloadState)
        if rungs.index(state) > rungs.index(before):
            log.warning(f"camera {_MEANINGS[state]}", **facts, remedy=REMEDY)
        else:
            log.info(f"camera {_MEANINGS[state]}", **facts)
