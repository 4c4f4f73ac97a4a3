from __future__ import annotations

import math
from collections import Counter

import pytest

from faceanond.pipeline.overload import LONGEST_PAUSE, LOOK_EVERY, PERSISTS, WINDOW, Ladder
from faceanond.status import OverloadState

NONE, DROPPING, REDUCED, CONCEALING = OverloadState
FPS = 25


class Camera:
    """A camera of 25 fps on a ladder: each second says how many pictures it can bear, and how long each takes."""

    def __init__(self, limit: float = 1.0, delay: float = 0.0, name: str = "") -> None:
        self.ladder = Ladder(limit, delay=delay, camera=name)
        self.now = 1000.0
        self.dropped = 0
        self.rungs = [self.ladder.state]

    def second(self, borne: float = math.inf, *, age: float = 0.05, late: int = 0) -> None:
        steps = round(1 / LOOK_EVERY)
        for step in range(steps):
            offered = [self.now + LOOK_EVERY * number * steps / FPS for number in range(FPS // steps + step % 2)]
            let_in = sum(map(self.ladder.lets_in, offered))
            shown = min(let_in, round(borne / steps) if borne < math.inf else let_in)
            self.dropped += let_in - shown
            for _ in range(shown):
                self.ladder.shown(age)
            if step == 0:
                for _ in range(late):
                    self.ladder.late()
            self.now += LOOK_EVERY
            self.ladder.look(self.now, self.dropped)
            if self.ladder.state is not self.rungs[-1]:
                self.rungs.append(self.ladder.state)

    def seconds(self, count: float, borne: float = math.inf, *, age: float = 0.05, late: int = 0) -> None:
        for _ in range(round(count)):
            self.second(borne, age=age, late=late)


def test_a_camera_that_keeps_up_has_every_picture_let_in() -> None:
    camera = Camera()
    camera.seconds(60)
    assert (camera.rungs, camera.ladder.rate) == ([NONE], math.inf)


def test_dropping_comes_first_and_a_lower_rate_when_it_persists() -> None:
    camera = Camera()
    camera.seconds(WINDOW + 1, borne=10)
    assert camera.ladder.state is DROPPING
    assert camera.ladder.rate == math.inf
    camera.seconds(PERSISTS + WINDOW, borne=10)
    assert camera.ladder.state is REDUCED
    assert 7 <= camera.ladder.rate < 10


def test_dropping_that_passes_changes_nothing() -> None:
    camera = Camera()
    camera.seconds(3, borne=10)
    camera.seconds(5)
    assert camera.rungs == [NONE, DROPPING, NONE]


def test_a_few_drops_are_no_overload() -> None:
    camera = Camera()
    camera.seconds(60, borne=24)
    assert camera.rungs == [NONE]


def test_pictures_that_wait_for_each_other_nearly_too_long_lower_the_rate_at_once() -> None:
    camera = Camera()
    camera.seconds(3, age=0.8)
    assert camera.rungs == [NONE, REDUCED]


def test_a_wait_by_design_is_no_sign_of_trouble() -> None:
    camera = Camera(limit=1.0, delay=0.75)
    camera.seconds(10, age=0.8)
    assert camera.rungs == [NONE]
    camera.seconds(3, age=0.95)
    assert camera.rungs == [NONE, REDUCED]


def test_a_late_picture_is_told_at_once_and_for_a_while() -> None:
    camera = Camera()
    camera.seconds(5)
    camera.second(late=1)
    assert camera.ladder.state is CONCEALING
    camera.seconds(PERSISTS - 1)
    assert camera.ladder.state is CONCEALING
    camera.seconds(6)
    assert camera.rungs == [NONE, CONCEALING, REDUCED, NONE]
    assert camera.ladder.rate == math.inf


def test_pictures_that_are_late_again_and_again_keep_the_state_and_lower_the_rate() -> None:
    camera = Camera()
    camera.seconds(30, borne=2, late=1)
    assert camera.rungs == [NONE, CONCEALING]
    assert camera.ladder.rate == pytest.approx(camera.ladder.slowest)


def test_the_rate_never_falls_below_one_picture_in_the_time_that_it_may_take() -> None:
    camera = Camera(limit=0.5, delay=0.1)
    camera.seconds(60, borne=0, late=1)
    assert camera.ladder.rate == pytest.approx(2.5)


def test_with_room_again_the_rate_climbs_step_by_step_to_the_cameras_own() -> None:
    camera = Camera()
    camera.seconds(12, borne=5)
    assert camera.ladder.state is REDUCED
    rates = []
    for _ in range(40):
        camera.second()
        rates.append(camera.ladder.rate)
    assert rates == sorted(rates)
    assert len(set(rates)) >= 3
    assert camera.rungs == [NONE, DROPPING, REDUCED, NONE]


def test_trials_that_fail_grow_rare_and_the_state_does_not_flap() -> None:
    camera = Camera()
    camera.seconds(12, borne=10)
    rates = []
    for _ in range(200):
        camera.second(borne=10)
        rates.append(camera.ladder.rate)
    assert camera.rungs == [NONE, DROPPING, REDUCED]
    trials = [number for number in range(1, 200) if rates[number] > rates[number - 1]]
    assert len([number for number in trials if number >= 100]) <= 100 / LONGEST_PAUSE * 2


def test_cameras_that_are_overloaded_together_do_not_all_try_together() -> None:
    trials: Counter[float] = Counter()
    for number in range(40):
        camera = Camera(name=f"cam-{number}")
        camera.seconds(30, borne=10)
        while camera.ladder.rate <= 10:
            camera.second(borne=10)
        trials[camera.now] += 1
    assert max(trials.values()) <= 20, trials


def test_a_rate_that_is_not_borne_any_more_falls_further() -> None:
    camera = Camera()
    camera.seconds(12, borne=10)
    before = camera.ladder.rate
    camera.seconds(6, borne=4)
    assert camera.ladder.rate < min(4, before)


def test_a_camera_without_pictures_says_nothing_new() -> None:
    camera = Camera()
    camera.seconds(12, borne=10)
    for _ in range(60):
        camera.now += LOOK_EVERY
        camera.ladder.look(camera.now, camera.dropped)
    assert camera.ladder.state is REDUCED
    camera.ladder.reset()
    assert (camera.ladder.state, camera.ladder.rate) == (NONE, math.inf)


@pytest.mark.parametrize("delay", [-0.1, 1.0, 1.5])
def test_a_delay_must_leave_time_for_the_verdict(delay: float) -> None:
    with pytest.raises(ValueError, match="delay"):
        Ladder(1.0, delay=delay)


def test_without_a_picture_that_came_out_nothing_speaks_for_a_faster_rate() -> None:
    camera = Camera(limit=10.0)
    camera.seconds(12, borne=10)
    before = camera.ladder.rate
    for _ in range(60):
        camera.ladder.lets_in(camera.now)
        camera.now += LOOK_EVERY
        camera.ladder.look(camera.now, camera.dropped)
    assert camera.ladder.state is REDUCED
    assert camera.ladder.rate <= before
