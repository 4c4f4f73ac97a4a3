from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faceanond.inference.policy import WaitingFrames


def anything(item: object) -> bool:
    return True


def queue(*cameras: str) -> WaitingFrames[str]:
    waiting: WaitingFrames[str] = WaitingFrames()
    for camera in cameras:
        waiting.put(camera, f"{camera}1")
    return waiting


def test_frames_leave_in_the_order_of_their_cameras_turns() -> None:
    waiting = queue("a", "b", "c")
    assert waiting.take(2, anything) == ["a1", "b1"]
    assert waiting.take(2, anything) == ["c1"]
    assert waiting.take(2, anything) == []


def test_a_newer_frame_takes_the_older_ones_place() -> None:
    waiting = queue("a", "b")
    assert waiting.put("a", "a2") == "a1"
    assert len(waiting) == 2
    assert waiting.take(5, anything) == ["a2", "b1"]


def test_the_camera_served_longest_ago_comes_first() -> None:
    waiting = queue("a", "b", "c")
    waiting.take(3, anything)
    for camera in ("c", "b", "new", "a"):
        waiting.put(camera, f"{camera}2")
    assert waiting.take(9, anything) == ["new2", "a2", "b2", "c2"]


def test_a_frame_that_nobody_wants_takes_no_room_in_the_batch() -> None:
    waiting = queue("a", "b", "c")
    assert waiting.take(2, lambda item: item != "a1") == ["b1", "c1"]
    assert len(waiting) == 0


def test_discarding_an_older_frame_leaves_the_newer_one() -> None:
    waiting = queue("a")
    waiting.put("a", "a2")
    waiting.discard("a", "a1")
    assert len(waiting) == 1
    waiting.discard("a", "a2")
    assert len(waiting) == 0


def test_a_camera_can_be_removed() -> None:
    waiting = queue("a", "b")
    assert waiting.remove("a") == "a1"
    assert waiting.remove("a") is None
    assert waiting.clear() == ["b1"]
    assert len(waiting) == 0


@given(st.lists(st.integers(1, 20), min_size=2, max_size=8), st.integers(1, 4))
def test_no_camera_gets_two_turns_while_another_waits_for_its_first(rates: list[int], most: int) -> None:
    """Camera i puts rates[i] frames before each batch; every camera always has one waiting."""
    waiting: WaitingFrames[int] = WaitingFrames()
    turns = [0] * len(rates)
    for _ in range(30):
        for camera, rate in enumerate(rates):
            for _ in range(rate):
                waiting.put(str(camera), camera)
        for camera in waiting.take(most, anything):
            turns[camera] += 1
    assert max(turns) - min(turns) <= 1
