"""Waiting on an injected clock."""

import threading

from faceanond.capture.pacing import Pacer
from tests.conftest import FakeClock


class SteppedClock(FakeClock):
    """A clock that the pacer's own waits move on."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(round(seconds, 6))
        self._now += seconds

    def work(self, seconds: float) -> None:
        self._now += seconds


def test_pictures_come_at_their_times_whatever_the_work_between_them_takes() -> None:
    clock = SteppedClock()
    pacer = Pacer(clock, longest=10, wait=clock.wait)
    for index in range(4):
        assert pacer.until(index * 0.1)
        clock.work(0.03)
    assert clock.waits == [0.07, 0.07, 0.07]


def test_a_short_delay_is_caught_up() -> None:
    clock = SteppedClock()
    pacer = Pacer(clock, longest=10, wait=clock.wait)
    pacer.until(0.0)
    clock.work(0.25)
    pacer.until(0.1)
    pacer.until(0.2)
    pacer.until(0.3)
    assert clock.waits == [0.05]


def test_a_long_delay_starts_a_new_schedule() -> None:
    clock = SteppedClock()
    pacer = Pacer(clock, longest=10, wait=clock.wait)
    pacer.until(0.0)
    clock.work(60.0)
    pacer.until(0.1)
    pacer.until(0.2)
    assert clock.waits == [0.1]


def test_a_pause_of_an_hour_is_cut_short() -> None:
    clock = SteppedClock()
    pacer = Pacer(clock, longest=5, wait=clock.wait)
    pacer.until(0.0)
    pacer.until(3600.0)
    pacer.until(3600.1)
    assert clock.waits == [5.0, 0.1]


def test_a_stream_may_run_ahead_by_its_allowance_and_no_further() -> None:
    clock = SteppedClock()
    pacer = Pacer(clock, longest=10, wait=clock.wait)
    for time in (0.0, 1.0, 2.0, 3.0):
        pacer.until(time, ahead=3.0)
    assert clock.waits == []
    pacer.until(4.0, ahead=3.0)
    assert clock.waits == [1.0]


def test_stopping_ends_a_wait_and_all_later_ones() -> None:
    pacer = Pacer(FakeClock(), longest=1000)
    pacer.until(0.0)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(pacer.until(500.0)))
    thread.start()
    pacer.stop()
    thread.join(10)
    assert results == [False]
    assert not pacer.until(600.0)
