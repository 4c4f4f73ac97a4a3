from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from faceanond.detect import native
from faceanond.detect.picture import Picture, Pixels
from faceanond.detect.pyramid import Level
from faceanond.frames import ColourMatrix, FrameId, RawFrame
from tests.frames_util import Rgb, packaged_face, planar, raw

Floats = NDArray[np.float64]

compiled = pytest.mark.parametrize(
    "compiled",
    [False, pytest.param(True, marks=pytest.mark.skipif(native.missing() is not None, reason=str(native.missing())))],
    ids=["OpenCV", "compiled"],
)


def drawn(picture: Picture, width: int, height: int) -> Pixels:
    """RGB, without the unused byte and the repeated edge."""
    return picture.level(Level(1.0, width, height))[:height, :width, :3]


def area_averaged(rgb: Rgb, width: int, height: int) -> Floats:
    return np.asarray(cv2.resize(rgb.astype(np.float64), (width, height), interpolation=cv2.INTER_AREA))


def coloured(
    y: int, u: int, v: int, *, full_range: bool = False, matrix: ColourMatrix = ColourMatrix.BT601
) -> RawFrame:
    planes = [np.full(shape, value, np.uint8) for shape, value in (((64, 64), y), ((32, 32), u), ((32, 32), v))]
    return RawFrame(FrameId("lobby", 1, 0), *planes, full_range, matrix, 0.0, 0.0)


@compiled
@pytest.mark.parametrize("size", [(385, 217), (273, 154), (97, 55), (1000, 570), (1281, 721)])
def test_a_level_is_nearly_the_area_average(compiled: bool, size: tuple[int, int]) -> None:
    rgb = cv2.resize(packaged_face(), (1280, 720), interpolation=cv2.INTER_AREA)
    picture = Picture(raw(np.asarray(rgb, dtype=np.uint8)), compiled=compiled)
    assert np.abs(drawn(picture, *size) - area_averaged(rgb, *size)).mean() < 4.0


@compiled
@pytest.mark.parametrize(("width", "height"), [(96, 54), (97, 54), (96, 55), (97, 55)])
def test_a_level_has_even_sides_and_repeats_its_edge_for_them(compiled: bool, width: int, height: int) -> None:
    picture = Picture(raw(packaged_face()[:288]), compiled=compiled).level(Level(0.2, width, height))
    assert picture.shape == (height + height % 2, width + width % 2, 4)
    assert picture.any()
    assert (picture[:, -1] == picture[:, width - 1]).all()
    assert (picture[-1] == picture[height - 1]).all()


@compiled
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ColourMatrix)
def test_range_and_matrix_are_honoured(compiled: bool, full_range: bool, matrix: ColourMatrix) -> None:
    rgb = packaged_face()
    picture = Picture(planar(rgb, full_range=full_range, matrix=matrix), compiled=compiled)
    assert np.abs(drawn(picture, 200, 200) - area_averaged(rgb, 200, 200)).mean() < 2.0


@compiled
def test_black_and_white_are_what_the_range_says(compiled: bool) -> None:
    for frame, wanted in (
        (coloured(16, 128, 128), 0),
        (coloured(235, 128, 128), 255),
        (coloured(0, 128, 128, full_range=True), 0),
        (coloured(255, 128, 128, full_range=True), 255),
    ):
        assert np.unique(drawn(Picture(frame, compiled=compiled), 20, 20)).tolist() == [wanted]


@compiled
def test_a_colour_is_told_by_its_matrix(compiled: bool) -> None:
    red = {
        matrix: drawn(Picture(coloured(81, 90, 240, matrix=matrix), compiled=compiled), 20, 20)[0, 0]
        for matrix in ColourMatrix
    }
    assert np.abs(red[ColourMatrix.BT601].astype(int) - [254, 0, 0]).max() <= 1
    assert np.abs(red[ColourMatrix.BT709].astype(int) - [255, 24, 0]).max() <= 1


@compiled
@pytest.mark.parametrize(("left", "side"), [(100, 24), (90, 40), (61, 90), (12, 250), (0, 500)])
def test_a_crop_is_what_the_square_shows(compiled: bool, left: float, side: float) -> None:
    rgb = packaged_face()
    crop = Picture(raw(rgb), compiled=compiled).crops(np.array([[left, 5, left + side, 5 + side]]), 24)[0]
    shown = area_averaged(rgb[5 : 5 + int(side), int(left) : int(left + side)], 24, 24)
    assert np.abs(crop[..., :3] - shown).mean() < 6.0


@compiled
@pytest.mark.parametrize("side", [24, 48])
def test_crops_of_many_sizes_come_back_in_order(compiled: bool, side: int) -> None:
    picture = Picture(raw(packaged_face()), compiled=compiled)
    boxes = np.array([[10.0, 20, 10 + length, 20 + length] for length in (200, 30, 120, 13, 55, 400)])
    together = picture.crops(boxes, side)
    for box, crop in zip(boxes, together, strict=True):
        assert (picture.crops(box[None], side)[0] == crop).all()


@compiled
def test_more_crops_than_opencv_draws_at_once_are_no_different(compiled: bool) -> None:
    picture = Picture(raw(packaged_face()), compiled=compiled)
    boxes = np.array([[10.0 + i % 300, 20, 40 + i % 300, 50] for i in range(1100)])
    together = picture.crops(boxes, 24)
    for index in (0, 511, 512, 1023, 1099):
        assert (picture.crops(boxes[index : index + 1], 24)[0] == together[index]).all()


@compiled
def test_no_boxes_give_no_crops(compiled: bool) -> None:
    assert Picture(coloured(16, 128, 128), compiled=compiled).crops(np.empty((0, 4)), 24).shape == (0, 24, 24, 4)


@compiled
@pytest.mark.parametrize("length", [32, 200])
@pytest.mark.parametrize("full_range", [False, True])
def test_beyond_the_edge_is_black(compiled: bool, length: int, full_range: bool) -> None:
    white = coloured(235 + 20 * full_range, 128, 128, full_range=full_range)
    crop = Picture(white, compiled=compiled).crops(np.array([[-length / 2, 0, length / 2, length]]), 24)[0, ..., :3]
    assert (crop[:6, :11] == 0).all()
    assert (crop[:6, 14:18] == 255).all()


@compiled
def test_planes_with_any_stride_and_odd_sizes_are_read(compiled: bool) -> None:
    frame = raw(packaged_face()[:467, :501])
    padded = np.zeros((467, 640), np.uint8)
    padded[:, :501] = frame.y
    every_second = np.zeros((467, 1002), np.uint8)
    every_second[:, ::2] = frame.y
    whole = Picture(frame, compiled=compiled)
    box = np.array([[100.0, 50, 300, 250], [-20.0, 400, 30, 450]])
    for luma in (padded[:, :501], every_second[:, ::2]):
        strided = RawFrame(frame.id, luma, frame.u, frame.v, False, ColourMatrix.BT601, 0.0, 0.0)
        other = Picture(strided, compiled=compiled)
        assert (drawn(other, 150, 140) == drawn(whole, 150, 140)).all()
        assert (other.crops(box, 48) == whole.crops(box, 48)).all()


@compiled
def test_read_only_planes_are_enough_and_stay_as_they_are(compiled: bool) -> None:
    frame = raw(packaged_face())
    before = frame.y.copy()
    for plane in (frame.y, frame.u, frame.v):
        plane.flags.writeable = False
    drawn(Picture(frame, compiled=compiled), 154, 154)
    assert (frame.y == before).all()


@pytest.mark.skipif(native.missing() is not None, reason=str(native.missing()))
@settings(deadline=None, max_examples=60)
@given(
    # Even, since OpenCV stretches the chroma of an odd picture over half a pixel too much.
    st.integers(12, 75).map(lambda half: 2 * half),
    st.integers(12, 75).map(lambda half: 2 * half),
    st.lists(st.tuples(st.floats(-90, 150), st.floats(-90, 150), st.floats(1, 90)), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([24, 48]),
)
def test_the_compiled_kernels_and_opencv_draw_the_same(
    width: int, height: int, squares: list[tuple[float, float, float]], full_range: bool, side: int
) -> None:
    rgb = np.asarray(cv2.resize(packaged_face(), (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    frame = raw(rgb)
    if full_range:
        frame = RawFrame(frame.id, frame.y, frame.u, frame.v, True, ColourMatrix.BT709, 0.0, 0.0)
    ours, theirs = Picture(frame), Picture(frame, compiled=False)
    level = Level(1.0, max(1, width * 2 // 3), max(1, height * 2 // 3))
    boxes = np.array([[x, y, x + length, y + length] for x, y, length in squares])
    # OpenCV takes a few samples where the kernels average areas.
    for one, other in ((ours.level(level), theirs.level(level)), (ours.crops(boxes, side), theirs.crops(boxes, side))):
        difference = np.abs(one.astype(int) - other)[..., :3]
        assert difference.mean() < 8.0
