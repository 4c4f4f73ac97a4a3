from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.detect import boxes as geometry
from faceanond.detect import native
from faceanond.detect.boxes import Boxes, Scores


def test_a_cell_looks_at_12_pixels_of_its_level() -> None:
    cells = geometry.cell_boxes(np.array([[0, 0], [5, 2], [5, 2]]), np.array([0.5, 0.5, 0.25]))
    assert cells.tolist() == [[1, 1, 24, 24], [21, 9, 44, 32], [43, 19, 88, 64]]


def test_corrections_are_in_box_sides() -> None:
    boxes = np.array([[10.0, 20.0, 30.0, 60.0]])
    assert geometry.corrected(boxes, np.array([[0.1, 0.1, -0.1, 0.25]])).tolist() == [[12, 24, 28, 70]]


def test_a_square_holds_its_box_and_keeps_the_centre() -> None:
    assert geometry.squared(np.array([[10.0, 20.0, 30.0, 60.0]])).tolist() == [[0, 20, 40, 60]]


def test_only_boxes_that_touch_the_picture_count() -> None:
    boxes = np.array([[-5, -5, 5, 5], [-5, -5, 0, 5], [100, 0, 110, 10], [99, 49, 120, 60], [5, 5, 5.5, 20.0]])
    assert geometry.touching(boxes, 100, 50).tolist() == [True, False, False, True, False]


def test_suppression_keeps_the_better_of_two_that_overlap() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10]], np.float64)
    assert geometry.suppressed(boxes, np.array([0.1, 3.0, -2.0]), 0.5).tolist() == [1, 2]


def test_boxes_of_other_groups_suppress_nothing() -> None:
    boxes = np.array([[0, 0, 10, 10]] * 4, np.float64)
    kept = geometry.suppressed(boxes, np.array([0.1, 3.0, -2.0, 0.5]), 0.5, np.array([0, 1, 1, 0]))
    assert sorted(kept.tolist()) == [1, 3]


def test_an_overlap_just_at_the_limit_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float64)
    assert geometry.suppressed(boxes, np.array([2.0, 1.0]), 0.5).tolist() == [0, 1]
    assert geometry.suppressed(boxes, np.array([2.0, 1.0]), 0.49).tolist() == [0]


def test_a_face_inside_a_face_goes() -> None:
    boxes = np.array([[0, 0, 100, 100], [10, 10, 40, 40], [150, 0, 180, 30]], np.float64)
    scores = np.array([1.0, 2.0, 0.5])
    assert geometry.suppressed(boxes, scores, 0.6).tolist() == [1, 0, 2]
    assert geometry.suppressed_by_smaller(boxes, scores, 0.6).tolist() == [1, 2]


def test_nothing_and_one_pass() -> None:
    for count in (0, 1):
        boxes, scores = np.zeros((count, 4)), np.zeros(count)
        assert len(geometry.suppressed(boxes, scores, 0.5)) == count
        assert len(geometry.suppressed_by_smaller(boxes, scores, 0.5)) == count


def plainly_suppressed(boxes: Boxes, scores: Scores, limit: float) -> list[int]:
    """The definition, without haste."""
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        a = boxes[index]
        for other in kept:
            b = boxes[other]
            shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
            union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
            if shared / union > limit:
                break
        else:
            kept.append(index)
    return kept


@given(
    st.lists(st.tuples(st.integers(-20, 60), st.integers(-20, 60), st.integers(5, 40)), min_size=2, max_size=12),
    st.randoms(use_true_random=False),
)
def test_suppression_agrees_with_its_definition(squares: list[tuple[int, int, int]], random: object) -> None:
    boxes = np.array([[x, y, x + side, y + side] for x, y, side in squares], np.float64)
    scores = np.arange(len(squares), dtype=np.float64) - 3
    random.shuffle(scores)  # type: ignore[attr-defined]
    assert geometry.suppressed(boxes, scores, 0.43).tolist() == plainly_suppressed(boxes, scores, 0.43)


@pytest.mark.parametrize("smaller", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("count", [2, 7, 8, 9, 17, 200])
def test_the_kernels_suppress_what_numpy_suppresses(variant: str, count: int, grouped: bool, smaller: bool) -> None:
    random = np.random.default_rng(count)
    corner = random.uniform(0, 100, (count, 2))
    boxes = np.hstack([corner, corner + random.uniform(5, 60, (count, 2))])
    order = random.permutation(count)
    groups = random.integers(0, 3, count) if grouped else None
    of = None if groups is None else groups[order]
    for limit in (0.1, 0.5, 0.7):
        kept = order[native.unsuppressed(boxes[order], of, limit, smaller=smaller)]
        assert kept.tolist() == geometry.plainly_suppressed(boxes, order, limit, groups, smaller=smaller).tolist()


def test_without_the_kernels_numpy_suppresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "missing", lambda: "not here")
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10]], np.float64)
    assert geometry.suppressed(boxes, np.array([0.1, 3.0, -2.0]), 0.5).tolist() == [1, 2]
    assert geometry.suppressed_by_smaller(boxes, np.array([0.1, 3.0, -2.0]), 0.5).tolist() == [1, 2]
