from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from faceanond.pipeline.overload import Ladder
from faceanond.pipeline.overload_log import TOLD_EVERY, OverloadLog
from faceanond.status import OverloadState

NONE, REDUCED, CONCEALING = OverloadState.NONE, OverloadState.REDUCED, OverloadState.CONCEALING


class Told:
    """A camera's log, and what stands in it."""

    def __init__(self, lines: list[Any]) -> None:
        self.lines = lines
        self.log = OverloadLog("lobby")
        self._ladder = Ladder(1.0)

    def stands(self, state: OverloadState, now: float, rate: float = math.inf) -> None:
        self._ladder.state, self._ladder.rate = state, rate
        self.log.look(self._ladder, now)

    def states(self) -> list[str]:
        return [line["state"] for line in self.lines]


@pytest.fixture
def told() -> Iterator[Told]:
    with capture_logs() as lines:
        yield Told(lines)


def test_each_move_is_told_with_what_can_be_done(told: Told) -> None:
    told.stands(REDUCED, 10, rate=4.5)
    told.stands(NONE, 20)
    worse, better = told.lines
    assert (worse["log_level"], worse["camera"], worse["state"], worse["fps"]) == ("warning", "lobby", "reduced", "4.5")
    assert "min_size" in worse["remedy"]
    assert (better["log_level"], better["state"], better["before"]) == ("info", "none", "reduced")
    assert "remedy" not in better


def test_a_rung_on_which_it_stays_is_told_once(told: Told) -> None:
    for now in range(2000):
        told.stands(REDUCED, now)
    assert told.states() == ["reduced"]


def test_a_load_that_comes_and_goes_fills_no_log(told: Told) -> None:
    for now in range(0, int(TOLD_EVERY), 10):
        told.stands(CONCEALING, now)
        told.stands(REDUCED, now + 5)
    assert told.states() == ["concealing", "reduced"]
    told.stands(CONCEALING, TOLD_EVERY)
    assert told.states() == ["concealing", "reduced", "concealing"]
    assert told.lines[-1]["moves"] == 59


def test_where_it_came_to_rest_is_told_in_the_end(told: Told) -> None:
    told.stands(CONCEALING, 0)
    told.stands(NONE, 5)
    told.stands(CONCEALING, 10)
    told.stands(CONCEALING, TOLD_EVERY - 1)
    assert told.states() == ["concealing", "none"]
    told.stands(CONCEALING, TOLD_EVERY)
    assert told.states() == ["concealing", "none", "concealing"]


def test_a_camera_that_begins_anew_is_not_said_to_keep_up_again(told: Told) -> None:
    told.stands(CONCEALING, 0)
    told.log.reset()
    told.stands(NONE, 5)
    assert told.states() == ["concealing"]
