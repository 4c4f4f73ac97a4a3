from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.config.model import DetectOptions
from faceanond.detect.protocol import Answer, Detector, DetectRequest, too_many
from faceanond.detect.union import UnionDetector, merged
from faceanond.errors import DetectionError
from faceanond.frames import Box, Face
from faceanond.stats import Histogram, HistogramSnapshot
from tests.frames_util import raw


def face(x: float, y: float, width: float, height: float, score: float = 0.8) -> Face:
    return Face(Box(x, y, x + width, y + height), score)


class Member:
    """A detector that answers as told."""

    provider = "cpu"

    def __init__(self, name: str, answer: Callable[[int], Sequence[Face]] = lambda index: ()) -> None:
        self.name = name
        self._answer = answer
        self.warm = self.closed = False
        self._seconds = Histogram(1.0)

    def warm_up(self) -> None:
        self.warm = True

    def detect(self, requests: Sequence[DetectRequest]) -> list[Answer]:
        self._seconds.observe(0.1)
        return [tuple(self._answer(request.frame.id.index)) for request in requests]

    def stage_seconds(self) -> Mapping[str, HistogramSnapshot]:
        return {f"{self.name}-net": self._seconds.snapshot(), "total": self._seconds.snapshot()}

    def close(self) -> None:
        self.closed = True


def requests(count: int) -> list[DetectRequest]:
    picture = np.zeros((8, 8, 3), np.uint8)
    return [DetectRequest(raw(picture, index=index), DetectOptions()) for index in range(count)]


def asked(*members: Detector, frames: int = 1) -> list[Answer]:
    return UnionDetector(members).detect(requests(frames))


def test_a_face_that_only_one_member_finds_counts() -> None:
    one, other = face(0, 0, 10, 10), face(50, 50, 10, 10)
    assert asked(Member("a", lambda index: [one]), Member("b", lambda index: [other])) == [(one, other)]


def test_two_boxes_of_one_face_become_the_box_that_holds_both() -> None:
    (answer,) = asked(
        Member("a", lambda index: [face(0, 0, 10, 10, 0.8)]), Member("b", lambda index: [face(2, -1, 10, 10, 0.9)])
    )
    assert answer == (Face(Box(0, -1, 12, 10), 0.9),)


def test_boxes_that_hardly_overlap_both_stay() -> None:
    large, small = face(0, 0, 100, 100), face(10, 10, 30, 30)
    assert merged([[large], [small]]) == (large, small)


def test_neighbours_in_a_crowd_are_paired_each_with_its_own() -> None:
    crowd = [face(20 * index, 0, 25, 25) for index in range(5)]
    shifted = [face(20 * index + 3, 0, 25, 25) for index in reversed(range(5))]
    assert merged([crowd, shifted]) == tuple(face(20 * index, 0, 28, 25) for index in range(5))


def test_faces_of_one_member_are_never_merged_with_each_other() -> None:
    close = [face(0, 0, 10, 10), face(1, 0, 10, 10)]
    assert merged([close, []]) == tuple(close)
    assert merged([[], close]) == tuple(close)
    assert len(merged([close, [face(0, 0, 10, 10)]])) == 2


def test_every_frame_gets_its_own_faces() -> None:
    by_index = Member("a", lambda index: [face(100 * index, 0, 10, 10)])
    answers = asked(by_index, Member("b"), frames=3)
    assert [faces[0].box.x1 for faces in answers] == [0, 100, 200]


def test_no_frames_give_no_answers() -> None:
    assert asked(Member("a"), Member("b"), frames=0) == []


BOXES = st.lists(
    st.tuples(st.integers(-20, 60), st.integers(-20, 60), st.integers(1, 40), st.integers(1, 40)), max_size=6
)


@given(st.lists(BOXES, min_size=1, max_size=3))
def test_the_union_covers_what_each_member_covers(members: list[list[tuple[int, int, int, int]]]) -> None:
    answers = [[face(*numbers) for numbers in boxes] for boxes in members]
    together = merged(answers)
    assert len(together) >= max(map(len, answers))
    assert len(together) <= sum(map(len, answers))
    for one in (one for faces in answers for one in faces):
        assert any(
            other.box.x1 <= one.box.x1
            and other.box.y1 <= one.box.y1
            and other.box.x2 >= one.box.x2
            and other.box.y2 >= one.box.y2
            for other in together
        )


@pytest.mark.parametrize("first", [True, False])
def test_a_failure_of_one_member_is_a_failure_of_all(first: bool) -> None:
    def failing(index: int) -> Sequence[Face]:
        raise DetectionError("nan", "a answered with numbers that are not finite")

    members = [Member("a", failing), Member("b", lambda index: [face(0, 0, 9, 9)])]
    with pytest.raises(DetectionError) as caught:
        asked(*(members if first else reversed(members)))
    assert caught.value.reason == "nan"


def test_a_frame_that_one_member_refuses_is_refused_and_no_other() -> None:
    class Refusing(Member):
        def detect(self, requests: Sequence[DetectRequest]) -> list[Answer]:
            answers: list[Answer] = list(super().detect(requests))
            return [too_many(9, 8), *answers[1:]]

    members = [Refusing("a"), Member("b", lambda index: [face(0, 0, 9, 9)])]
    for order in (members, members[::-1]):
        refused, fine = asked(*order, frames=2)
        assert isinstance(refused, DetectionError)
        assert fine == (face(0, 0, 9, 9),)


def test_a_member_that_answers_too_few_frames_is_not_believed() -> None:
    class Short(Member):
        def detect(self, requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
            return super().detect(requests)[:-1]

    with pytest.raises(DetectionError, match="b answered 1 of 2 frames"):
        asked(Member("a"), Short("b"), frames=2)


def test_a_box_that_is_not_finite_reaches_whoever_judges_it() -> None:
    broken = face(float("nan"), 0, 10, 10)
    assert not all(one.box.finite for one in merged([[face(0, 0, 10, 10)], [broken]]))


def test_it_is_called_after_its_members_and_warms_and_closes_them() -> None:
    members = [Member("a"), Member("b")]
    union = UnionDetector(members)
    assert (union.name, union.provider) == ("a+b", "cpu")
    union.warm_up()
    assert all(member.warm for member in members)
    union.close()
    assert all(member.closed for member in members)


def test_a_member_that_fails_to_close_does_not_keep_the_others_open() -> None:
    class Stuck(Member):
        def close(self) -> None:
            raise RuntimeError("no")

    other = Member("b")
    with pytest.raises(RuntimeError):
        UnionDetector([Stuck("a"), other]).close()
    assert other.closed


def test_the_time_of_each_member_and_of_all_is_kept() -> None:
    union = UnionDetector([Member("a"), Member("b")])
    union.detect(requests(2))
    counts = {stage: seconds.count for stage, seconds in union.stage_seconds().items()}
    assert counts == {"a-net": 1, "a": 1, "b-net": 1, "b": 1, "total": 1}
