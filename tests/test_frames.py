import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.frames import Box, ColourMatrix, FrameId, RawFrame

coordinate = st.floats(-1e4, 1e4)


def frame(y: tuple[int, int], chroma: tuple[int, int]) -> RawFrame:
    planes = (np.zeros(y, np.uint8), np.zeros(chroma, np.uint8), np.zeros(chroma, np.uint8))
    return RawFrame(FrameId("a", 1, 0), *planes, False, ColourMatrix.BT601, 0.0, 0.0)


@pytest.mark.parametrize(("luma", "chroma"), [((240, 320), (120, 160)), ((241, 321), (121, 161)), ((1, 1), (1, 1))])
def test_planes_that_fit_make_a_frame(luma: tuple[int, int], chroma: tuple[int, int]) -> None:
    assert frame(luma, chroma).size == (luma[1], luma[0])


@pytest.mark.parametrize(("luma", "chroma"), [((240, 320), (240, 320)), ((241, 321), (120, 160)), ((0, 0), (0, 0))])
def test_planes_that_do_not_fit_are_refused(luma: tuple[int, int], chroma: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="planes do not fit"):
        frame(luma, chroma)


@given(coordinate, coordinate, st.floats(0, 1e3), st.floats(0, 1e3), st.floats(0, 2))
def test_growing_a_box_keeps_its_centre_and_covers_it(x: float, y: float, w: float, h: float, share: float) -> None:
    box = Box(x, y, x + w, y + h)
    grown = box.grown(share)
    assert grown.x1 <= box.x1
    assert grown.y2 >= box.y2
    assert math.isclose((grown.x1 + grown.x2) / 2, (box.x1 + box.x2) / 2, abs_tol=1e-6)


@given(coordinate, coordinate, st.floats(0, 1e3), st.floats(0, 1e3))
def test_rounding_out_never_loses_a_pixel(x: float, y: float, w: float, h: float) -> None:
    box = Box(x, y, x + w, y + h)
    x1, y1, x2, y2 = box.rounded_out()
    assert x1 <= box.x1
    assert y1 <= box.y1
    assert x2 >= box.x2
    assert y2 >= box.y2


boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h), coordinate, coordinate, st.floats(0, 1e4), st.floats(0, 1e4)
)


@given(boxes, st.floats(0, 2), st.floats(0, 2))
def test_growing_more_covers_more(box: Box, share: float, more: float) -> None:
    less, larger = box.grown(share), box.grown(share + more)
    assert (larger.x1 <= less.x1, larger.y1 <= less.y1, larger.x2 >= less.x2, larger.y2 >= less.y2) == (True,) * 4
    assert box.grown(0) == box


@given(boxes, st.integers(1, 4000), st.integers(1, 4000))
def test_a_clipped_box_is_what_box_and_picture_share(box: Box, width: int, height: int) -> None:
    clipped = box.clipped(width, height)
    assert clipped.clipped(width, height) == clipped
    assert clipped.x1 == max(box.x1, 0)
    assert clipped.y2 == min(box.y2, height)
    empty = clipped.width <= 0 or clipped.height <= 0
    apart = box.x2 <= 0 or box.y2 <= 0 or box.x1 >= width or box.y1 >= height
    assert empty == (apart or box.width <= 0 or box.height <= 0)


@given(boxes, st.integers(1, 4000), st.integers(1, 4000))
def test_clipping_and_rounding_out_agree_in_either_order(box: Box, width: int, height: int) -> None:
    """A picture has whole pixels, so it does not matter which comes first."""
    first = Box(*map(float, box.rounded_out())).clipped(width, height)
    assert tuple(map(float, box.clipped(width, height).rounded_out())) == (first.x1, first.y1, first.x2, first.y2)


def test_a_clipped_box_stays_inside_the_picture() -> None:
    assert Box(-5, -5, 700, 500).clipped(640, 480) == Box(0, 0, 640, 480)
    assert Box(700, 10, 720, 20).clipped(640, 480).width <= 0


def test_a_box_with_a_nan_is_not_finite() -> None:
    assert not Box(0, 0, math.nan, 1).finite
    assert not Box(0, math.inf, 2, 1).finite
    assert Box(0, 0, 2, 1).finite
