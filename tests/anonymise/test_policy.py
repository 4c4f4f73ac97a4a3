from __future__ import annotations

import math

import pytest

from faceanond.anonymise.policy import MOST_FACES, Doubt, doubt, target, zones_outside
from faceanond.frames import Box, Detections, Face, FrameId

FRAME = FrameId("lobby", 1, 7)
SIZE = (640, 480)


def judged(*faces: Face, frame: FrameId = FRAME, suspect: str | None = None) -> str | None:
    return doubt(FRAME, suspect, SIZE, Detections(frame, faces))


def test_a_plausible_answer_for_this_frame_is_believed() -> None:
    assert judged() is None
    assert judged(Face(Box(10, 10, 60, 70), 0.99), Face(Box(-30, -20, 20, 40), 0.7)) is None


@pytest.mark.parametrize(
    "other",
    [FrameId("lobby", 1, 8), FrameId("lobby", 2, 7), FrameId("yard", 1, 7)],
    ids=["index", "generation", "camera"],
)
def test_an_answer_for_another_frame_is_not_believed(other: FrameId) -> None:
    assert judged(frame=other) is Doubt.WRONG_FRAME


def test_a_frame_that_its_source_doubts_is_not_believed_whatever_was_found() -> None:
    assert judged(suspect="gap") == "gap"
    assert judged(suspect="") == ""


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(4))
def test_a_box_that_is_not_finite_spoils_the_answer(bad: float, place: int) -> None:
    values = [10.0, 10.0, 60.0, 70.0]
    values[place] = bad

    assert judged(Face(Box(20, 20, 40, 40), 0.9), Face(Box(*values), 0.9)) is Doubt.BAD_BOXES


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.1, 1.1])
def test_a_score_that_is_none_spoils_the_answer(score: float) -> None:
    assert judged(Face(Box(10, 10, 60, 70), score)) is Doubt.BAD_BOXES


def test_a_score_may_miss_one_by_rounding() -> None:
    assert judged(Face(Box(10, 10, 60, 70), 1.0000001)) is None


@pytest.mark.parametrize(
    "box",
    [Box(60, 10, 10, 70), Box(10, 70, 60, 10), Box(0, 0, 1e30, 10), Box(-1e30, 0, 10, 10), Box(0, 9000, 10, 9010)],
    ids=["right to left", "bottom to top", "endless", "endless leftwards", "far below"],
)
def test_a_box_that_no_detector_measures_spoils_the_answer(box: Box) -> None:
    assert judged(Face(box, 0.9)) is Doubt.BAD_BOXES


def test_more_faces_than_anybody_has_seen_are_not_believed() -> None:
    face = Face(Box(10, 10, 60, 70), 0.9)

    assert judged(*[face] * MOST_FACES) is None
    assert judged(*[face] * (MOST_FACES + 1)) is Doubt.TOO_MANY_FACES


def test_the_margin_is_added_on_each_side() -> None:
    hidden = target(Face(Box(100, 100, 200, 220), 0.9), margin=0.25, shape="box")

    assert hidden.reach == Box(75, 70, 225, 250)
    assert hidden.side == 120


def test_an_ellipse_is_inscribed_in_the_grown_box() -> None:
    assert target(Face(Box(100, 100, 200, 220), 0.9), margin=0.25, shape="ellipse").reach == Box(75, 70, 225, 250)


def test_an_ellipse_runs_through_the_corners_of_the_face_at_least() -> None:
    reach = target(Face(Box(-50, -60, 50, 60), 0.9), margin=0.0, shape="ellipse").reach

    assert (50 / reach.x2) ** 2 + (60 / reach.y2) ** 2 == pytest.approx(1)


def test_a_box_without_area_is_hidden_as_the_smallest_face() -> None:
    hidden = target(Face(Box(100, 100, 100, 100), 0.9), margin=0.0, shape="box")

    assert hidden.reach == Box(94, 94, 106, 106)
    assert hidden.side == 12


@pytest.mark.parametrize(
    ("zone", "outside"),
    [
        ([(2000, 2000), (2100, 2000), (2100, 2100)], True),
        ([(640, 0), (700, 0), (700, 480)], True),
        ([(-50, 0), (0, 0), (0, 480)], True),
        ([(600, 400), (900, 400), (900, 900)], True),
        ([(600, 400), (640, 400), (640, 480)], False),
        ([(-50, -50), (5, -50), (5, 5)], False),
    ],
)
def test_a_zone_that_lies_beyond_the_picture_is_noticed(zone: list[tuple[float, float]], outside: bool) -> None:
    inside = [(10, 10), (20, 10), (20, 20)]
    assert zones_outside([inside, zone], (640, 480)) == ((1,) if outside else ())
