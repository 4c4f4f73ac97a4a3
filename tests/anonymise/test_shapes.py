from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from faceanond.anonymise.policy import ELLIPSE_SHARE
from faceanond.anonymise.shapes import Stencil, box_stencil, ellipse_stencil, polygons_stencil
from faceanond.frames import Box

Points = tuple[tuple[float, float], ...]


def pixels(stencil: Stencil | None, width: int, height: int) -> NDArray[np.bool_]:
    """The covered pixels of the whole picture."""
    blocks = np.zeros((height // 2, width // 2), bool)
    if stencil is not None:
        blocks[stencil.within] = stencil.mask
    return np.kron(blocks, np.ones((2, 2), bool)).astype(bool)


def test_a_box_takes_every_block_that_it_touches() -> None:
    covered = pixels(box_stencil(Box(3.5, 2.0, 4.1, 4.0), 10, 8), 10, 8)

    rows, columns = np.nonzero(covered)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 3, 2, 5)


place = st.floats(-200, 300, width=32)
extent = st.one_of(st.floats(0, 60, width=32), st.floats(0, 600, width=32))
boxes = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), place, place, extent, extent)
pictures = st.tuples(st.integers(1, 60), st.integers(1, 60)).map(lambda size: (size[0] * 2, size[1] * 2))
shapes = pytest.mark.parametrize("shape", [box_stencil, ellipse_stencil])
Shape = Callable[[Box, int, int], Stencil | None]


@shapes
@given(box=boxes, size=pictures)
def test_a_stencil_lies_within_its_picture(shape: Shape, box: Box, size: tuple[int, int]) -> None:
    stencil = shape(box, *size)
    if stencil is None:
        return
    assert 0 <= stencil.left < stencil.right <= size[0] // 2
    assert 0 <= stencil.top < stencil.bottom <= size[1] // 2
    assert stencil.mask.any()
    bounds = stencil.bounds(*size)
    assert bounds == bounds.clipped(*size)


@shapes
@given(box=boxes, size=pictures, share=st.floats(0, 1))
def test_a_larger_shape_leaves_nothing_open_that_a_smaller_one_covers(
    shape: Shape, box: Box, size: tuple[int, int], share: float
) -> None:
    smaller, larger = pixels(shape(box, *size), *size), pixels(shape(box.grown(share), *size), *size)
    assert not (smaller & ~larger).any()


@given(box=boxes, size=pictures)
def test_a_box_covers_its_ellipse_and_nothing_beside_itself(box: Box, size: tuple[int, int]) -> None:
    whole = pixels(box_stencil(box, *size), *size)
    assert not (pixels(ellipse_stencil(box, *size), *size) & ~whole).any()
    x1, y1, x2, y2 = box.clipped(*size).rounded_out()
    if box.width > 0 and box.height > 0:
        assert whole[y1 : max(y1, y2), x1 : max(x1, x2)].all()
    rows, columns = np.nonzero(whole)
    if rows.size:
        assert rows.min() >= y1 - 1
        assert columns.max() < x2 + 1


@given(box=boxes, size=pictures)
def test_an_ellipse_through_its_corners_covers_a_box_whole(box: Box, size: tuple[int, int]) -> None:
    """How faces are hidden: `policy.target` never takes a smaller one."""
    around = box.grown((ELLIPSE_SHARE - 1) / 2)
    inner = box.grown(-1e-4)  # a hair inside, so that rounding does not decide
    x1, y1, x2, y2 = inner.clipped(*size).rounded_out()
    if box.width > 0 and box.height > 0:
        assert pixels(ellipse_stencil(around, *size), *size)[y1 : max(y1, y2), x1 : max(x1, x2)].all()


@pytest.mark.parametrize(
    "box", [Box(-9, -9, -1, 5), Box(20, 0, 30, 5), Box(0, 8, 5, 20)], ids=["left", "right", "below"]
)
def test_a_shape_outside_the_picture_covers_nothing(box: Box) -> None:
    assert box_stencil(box, 20, 8) is None
    assert ellipse_stencil(box, 20, 8) is None


def test_a_huge_ellipse_covers_the_picture() -> None:
    assert pixels(ellipse_stencil(Box(-500, -500, 540, 530), 40, 30), 40, 30).all()


def test_bounds_are_clipped_to_a_picture_of_odd_size() -> None:
    stencil = box_stencil(Box(0, 0, 100, 100), 10, 8)

    assert stencil is not None
    assert stencil.bounds(9, 7) == Box(0, 0, 9, 7)


def inside(points: Points, x: float, y: float) -> bool:
    """Whether the point lies in the polygon, by the sum of the angles under which it sees the edges."""
    total = 0.0
    corners = np.array(points) - (x, y)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        total += float(np.arctan2(x1 * y2 - y1 * x2, x1 * x2 + y1 * y2))
    return abs(total) > np.pi


@given(
    points=st.lists(
        st.tuples(st.floats(-30, 60, width=32), st.floats(-30, 60, width=32)), min_size=3, max_size=7, unique=True
    )
)
def test_a_polygon_covers_every_pixel_whose_centre_it_encloses(points: list[tuple[float, float]]) -> None:
    covered = pixels(polygons_stencil([points], 32, 24), 32, 24)

    for row in range(0, 24, 3):
        for column in range(0, 32, 3):
            if inside(tuple(points), column + 0.5, row + 0.5):
                assert covered[row, column]


def test_a_polygon_grows_by_one_block_and_no_more() -> None:
    covered = pixels(polygons_stencil([((10, 10), (20, 10), (20, 20), (10, 20))], 40, 40), 40, 40)

    rows, columns = np.nonzero(covered)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 21, 8, 21)


def test_an_outline_that_crosses_itself_leaves_no_hole() -> None:
    star = [(20 + 18 * np.sin(turn), 20 - 18 * np.cos(turn)) for turn in np.arange(5) * 2 * 2 * np.pi / 5]

    assert pixels(polygons_stencil([star], 40, 40), 40, 40)[18:22, 18:22].all()


def test_a_concave_polygon_leaves_its_bay_open() -> None:
    bay = ((0.0, 0.0), (60.0, 0.0), (60.0, 60.0), (40.0, 60.0), (40.0, 20.0), (20.0, 20.0), (20.0, 60.0), (0.0, 60.0))

    covered = pixels(polygons_stencil([bay], 60, 60), 60, 60)

    assert not covered[24:, 24:36].any()
    assert covered[:20].all()


def test_several_polygons_are_all_covered() -> None:
    one, two = ((0, 0), (8, 0), (8, 8), (0, 8)), ((30, 30), (38, 30), (38, 38), (30, 38))

    covered = pixels(polygons_stencil([one, two], 40, 40), 40, 40)

    assert covered[:8, :8].all()
    assert covered[30:38, 30:38].all()
    assert not covered[15:25, 15:25].any()


@pytest.mark.parametrize(
    "points", [((100, 0), (200, 0), (200, 9)), ((0, 0), (1e-9, 0), (0, 1e-9))], ids=["outside", "without area"]
)
def test_a_polygon_that_encloses_nothing_covers_nothing(points: Points) -> None:
    assert polygons_stencil([points], 40, 40) is None


def test_a_polygon_far_larger_than_the_picture_covers_it() -> None:
    assert pixels(polygons_stencil([((-1e9, -1e9), (1e9, -1e9), (0, 2e9))], 40, 30), 40, 30).all()
