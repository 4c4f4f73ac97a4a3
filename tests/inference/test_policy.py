from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from faceanond.inference.policy import WaitingFrames

PATIENCE = 10.0


def anything(item: object) -> bool:
    return True


class Queue(WaitingFrames[str]):
    """Frames called after their camera and number, each of cost 1 unless told; time stands still unless told."""

    def __init__(self, *cameras: str, budget: int = 1000) -> None:
        super().__init__(patience=PATIENCE)
        self.budget = budget
        for camera in cameras:
            self.ask(camera)

    def ask(self, camera: str, number: int = 1, *, cost: int = 1, now: float = 0.0) -> str | None:
        return self.put(camera, f"{camera}{number}", cost=cost, now=now)

    def batch(self, most: int = 9, *, now: float = 0.0, unwanted: Sequence[str] = ()) -> list[str]:
        return self.take(most, budget=self.budget, now=now, wanted=lambda item: item not in unwanted)

    def settled(self, most: int = 9, *, now: float = 0.0) -> list[str]:
        """A batch after everybody who was answered has come round."""
        self.came_round(self.batches)
        return self.batch(most, now=now)


def test_frames_leave_in_the_order_of_their_cameras_turns() -> None:
    waiting = Queue("a", "b", "c")
    assert waiting.batch(2) == ["a1", "b1"]
    assert waiting.batch(2) == ["c1"]
    assert waiting.batch(2) == []


def test_a_newer_frame_takes_the_older_ones_place() -> None:
    waiting = Queue("a", "b")
    assert waiting.ask("a", 2) == "a1"
    assert len(waiting) == 2
    assert waiting.batch(5) == ["a2", "b1"]


def test_among_equals_the_camera_served_longest_ago_comes_first() -> None:
    waiting = Queue("a", "b", "c")
    waiting.batch(3)
    for camera in ("c", "b", "new", "a"):
        waiting.ask(camera, 2)
    assert waiting.settled() == ["new2", "a2", "b2", "c2"]


def test_a_frame_that_nobody_wants_takes_no_room_and_costs_nothing() -> None:
    waiting = Queue("a", "b", "c", budget=2)
    assert waiting.batch(2, unwanted=["a1"]) == ["b1", "c1"]
    assert len(waiting) == 0
    waiting.ask("b", 2)
    waiting.ask("a", 2)
    assert waiting.settled() == ["a2", "b2"]


def test_discarding_an_older_frame_leaves_the_newer_one() -> None:
    waiting = Queue()
    older, newer = "a1", "a2"
    waiting.put("a", older, cost=1, now=0.0)
    waiting.put("a", newer, cost=1, now=0.0)
    waiting.discard("a", older)
    assert len(waiting) == 1
    waiting.discard("a", newer)
    assert len(waiting) == 0


def test_a_camera_can_be_removed() -> None:
    waiting = Queue("a", "b")
    assert waiting.remove("a") == "a1"
    assert waiting.remove("a") is None
    assert waiting.clear() == ["b1"]
    assert len(waiting) == 0


def test_a_batch_holds_no_more_than_its_budget() -> None:
    waiting = Queue(budget=10)
    for camera in "abcd":
        waiting.ask(camera, cost=4)
    assert waiting.batch() == ["a1", "b1"]
    assert waiting.batch() == ["c1", "d1"]


def test_a_frame_above_the_budget_is_a_batch_of_its_own() -> None:
    waiting = Queue(budget=10)
    waiting.ask("small")
    waiting.ask("huge", cost=1000)
    waiting.ask("late")
    assert waiting.batch() == ["small1"]
    assert waiting.batch() == ["huge1"]
    assert waiting.batch() == ["late1"]


def test_a_newer_frame_of_another_size_costs_what_it_costs() -> None:
    waiting = Queue(budget=10)
    waiting.ask("a", cost=1000)
    waiting.ask("a", 2, cost=4)
    waiting.ask("b", cost=4)
    assert waiting.batch() == ["a2", "b1"]


def test_a_camera_pays_for_a_heavy_frame_with_the_others_next_ones() -> None:
    waiting = Queue(budget=10)
    waiting.ask("huge", cost=30)
    waiting.ask("small", cost=10)
    order = []
    for number in range(2, 10):
        (taken,) = waiting.settled()
        order.append(taken.rstrip("0123456789"))
        waiting.ask(order[-1], number, cost=30 if order[-1] == "huge" else 10)
    assert order == ["huge", "small", "small", "small", "huge", "small", "small", "small"]


def test_nobody_saves_up_while_away() -> None:
    waiting = Queue(budget=10)
    for number in range(100):
        waiting.ask("busy", number, cost=10)
        waiting.settled()
    waiting.ask("busy", cost=10)
    waiting.ask("back", cost=10)
    order = []
    for number in range(6):
        (taken,) = waiting.settled()
        order.append(taken[:4])
        waiting.ask(order[-1], number, cost=10)
    assert order == ["back", "busy", "back", "busy", "back", "busy"]


def test_who_has_waited_too_long_goes_first_whatever_it_has_had() -> None:
    waiting = Queue(budget=10)
    waiting.ask("huge", cost=1000)
    waiting.batch()
    waiting.ask("huge", 2, cost=1000, now=1.0)
    for camera in "ab":
        waiting.ask(camera, now=PATIENCE)
    assert waiting.settled(1, now=PATIENCE + 0.9) == ["a1"]
    assert waiting.settled(1, now=PATIENCE + 1.0) == ["huge2"]


def test_a_newer_frame_does_not_begin_to_wait_anew() -> None:
    waiting = Queue(budget=10)
    waiting.ask("huge", cost=1000)
    waiting.batch()
    waiting.ask("huge", 2, cost=1000, now=0.0)
    waiting.ask("huge", 3, cost=1000, now=PATIENCE)
    waiting.ask("small", now=PATIENCE)
    assert waiting.settled(1, now=PATIENCE) == ["huge3"]


def test_those_who_wait_too_long_have_their_turns_in_order() -> None:
    waiting = Queue("a", "b", "c", budget=1)
    waiting.batch(1)
    waiting.ask("a", 2)
    for expected in ("b1", "c1", "a2"):
        assert waiting.settled(1, now=PATIENCE) == [expected]


def test_no_debt_is_larger_than_one_frame() -> None:
    """However often it went first because it waited too long: when the crowd has gone, it is soon forgotten."""
    waiting = Queue(budget=10)
    now = 0.0
    for number in range(50):
        waiting.ask("huge", number, cost=100, now=now)
        waiting.ask("small", number, cost=10, now=now + PATIENCE)
        now += PATIENCE
        assert waiting.settled(1, now=now) == [f"huge{number}"]
        assert waiting.settled(1, now=now) == [f"small{number}"]
    turns = 0
    waiting.ask("huge", 99, cost=100, now=now)
    while True:
        waiting.ask("small", turns, cost=10, now=now)
        if waiting.settled(1, now=now) == ["huge99"]:
            break
        turns += 1
    assert turns <= 11


def test_a_frame_in_debt_lets_the_cameras_of_the_last_batch_come_round_first() -> None:
    waiting = Queue(budget=10)
    waiting.ask("huge", cost=100)
    assert waiting.settled() == ["huge1"]
    waiting.ask("small")
    assert waiting.settled() == ["small1"]
    waiting.ask("huge", 2, cost=100)
    assert waiting.batch() == [], "small's answer is on its way"
    waiting.ask("small", 2)
    assert waiting.batch() == ["small2"]
    assert waiting.batch() == []
    waiting.came_round(waiting.batches)
    assert waiting.batch() == ["huge2"], "small had no other frame"


def test_what_comes_round_late_from_an_earlier_batch_is_not_taken_for_the_last_one() -> None:
    waiting = Queue(budget=10)
    waiting.ask("huge", cost=100)
    waiting.settled()
    earlier = waiting.batches
    waiting.ask("small")
    waiting.batch()
    waiting.ask("huge", 2, cost=100)
    waiting.came_round(earlier)
    assert waiting.batch() == []


def test_an_overdue_frame_waits_for_nobody_to_come_round() -> None:
    waiting = Queue(budget=10)
    waiting.ask("huge", cost=100)
    waiting.settled()
    waiting.ask("small")
    waiting.batch()
    waiting.ask("huge", 2, cost=100)
    assert waiting.batch(now=PATIENCE) == ["huge2"]


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=8), st.integers(1, 4))
def test_equal_cameras_get_equal_turns_whatever_their_rates(rates: list[int], most: int) -> None:
    """Camera i puts rates[i] frames before each batch; every camera always has one waiting."""
    waiting: WaitingFrames[int] = WaitingFrames(patience=PATIENCE)
    turns = [0] * len(rates)
    for _ in range(30):
        for camera, rate in enumerate(rates):
            for _ in range(rate):
                waiting.put(str(camera), camera, cost=1, now=0.0)
        for camera in waiting.take(most, budget=1000, now=0.0, wanted=anything):
            turns[camera] += 1
    assert max(turns) - min(turns) <= 1


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=8), st.integers(1, 50))
def test_cameras_that_always_wait_get_equal_shares_of_the_detectors_time(costs: list[int], budget: int) -> None:
    waiting: WaitingFrames[int] = WaitingFrames(patience=float("inf"))
    # A batch that took everything could not be fair: there would be nothing to choose.
    budget = min(budget, *costs)
    spent = [0] * len(costs)
    for _ in range(300):
        for camera, cost in enumerate(costs):
            waiting.put(str(camera), camera, cost=cost, now=0.0)
        for camera in waiting.take(16, budget=budget, now=0.0, wanted=anything):
            spent[camera] += costs[camera]
        assert max(spent) - min(spent) <= 2 * max(costs)
