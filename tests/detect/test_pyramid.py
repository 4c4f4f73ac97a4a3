from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceanond.detect.pyramid import Level, Picture, Tensor, levels
from faceanond.frames import ColourMatrix, FrameId, RawFrame
from tests.frames_util import Rgb, packaged_face, planar, raw


def drawn(picture: Picture, width: int, height: int) -> Tensor:
    out = np.full((3, height, width), np.nan, np.float32)
    picture.level(Level(1.0, width, height), out)
    return out


def area_averaged(rgb: Rgb, width: int, height: int) -> Tensor:
    small = cv2.resize(rgb.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small.transpose(2, 0, 1), dtype=np.float32)


def coloured(
    y: int, u: int, v: int, *, full_range: bool = False, matrix: ColourMatrix = ColourMatrix.BT601
) -> RawFrame:
    planes = [np.full(shape, value, np.uint8) for shape, value in (((64, 64), y), ((32, 32), u), ((32, 32), v))]
    return RawFrame(FrameId("lobby", 1, 0), *planes, full_range, matrix, 0.0, 0.0)


def test_levels_start_at_the_smallest_face_and_end_at_12_pixels() -> None:
    found = levels(1280, 720, 40, 0.709)
    assert (found[0].width, found[0].height) == (385, 217)
    assert len(found) == 9
    assert 720 * found[-1].scale > 12 >= 720 * found[-1].scale * 0.709


@pytest.mark.parametrize("size", [(1, 1), (11, 200), (40, 500), (39, 39)])
def test_a_picture_no_larger_than_the_smallest_face_has_no_levels(size: tuple[int, int]) -> None:
    assert levels(*size, 40, 0.709) == []


def test_one_pixel_more_has_one() -> None:
    assert len(levels(41, 500, 40, 0.709)) == 1


@pytest.mark.parametrize("size", [(385, 217), (273, 154), (97, 55), (1000, 570), (1281, 721)])
def test_a_level_is_nearly_the_area_average(size: tuple[int, int]) -> None:
    rgb = cv2.resize(packaged_face(), (1280, 720), interpolation=cv2.INTER_AREA)
    error = np.abs(drawn(Picture(raw(np.asarray(rgb, dtype=np.uint8))), *size) - area_averaged(rgb, *size))
    assert error.mean() < 4.0


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ColourMatrix)
def test_range_and_matrix_are_honoured(full_range: bool, matrix: ColourMatrix) -> None:
    rgb = packaged_face()
    frame = planar(rgb, full_range=full_range, matrix=matrix)
    error = np.abs(drawn(Picture(frame), 200, 200) - area_averaged(rgb, 200, 200))
    assert error.mean() < 2.0


def test_black_and_white_are_what_the_range_says() -> None:
    for frame, wanted in (
        (coloured(16, 128, 128), 0),
        (coloured(235, 128, 128), 255),
        (coloured(0, 128, 128, full_range=True), 0),
        (coloured(255, 128, 128, full_range=True), 255),
    ):
        assert np.unique(drawn(Picture(frame), 20, 20)).tolist() == [wanted]


def test_a_colour_is_told_by_its_matrix() -> None:
    red = {matrix: drawn(Picture(coloured(81, 90, 240, matrix=matrix)), 20, 20)[:, 0, 0] for matrix in ColourMatrix}
    assert red[ColourMatrix.BT601].tolist() == [254, 0, 0]
    assert red[ColourMatrix.BT709].tolist() == [255, 24, 0]


@pytest.mark.parametrize(("left", "side"), [(100, 24), (90, 40), (61, 90), (12, 250), (0, 500)])
def test_a_crop_is_what_the_square_shows(left: float, side: float) -> None:
    rgb = packaged_face()
    crop = Picture(raw(rgb)).crops(np.array([[left, 5, left + side, 5 + side]]), 24)[0]
    shown = area_averaged(rgb[5 : 5 + int(side), int(left) : int(left + side)], 24, 24)
    assert np.abs(crop - shown).mean() < 6.0


@pytest.mark.parametrize("side", [24, 48])
def test_crops_of_many_sizes_come_back_in_order(side: int) -> None:
    picture = Picture(raw(packaged_face()))
    boxes = np.array([[10.0, 20, 10 + length, 20 + length] for length in (200, 30, 120, 13, 55, 400)])
    together = picture.crops(boxes, side)
    for box, crop in zip(boxes, together, strict=True):
        assert (picture.crops(box[None], side)[0] == crop).all()


def test_no_boxes_give_no_crops() -> None:
    assert Picture(coloured(16, 128, 128)).crops(np.empty((0, 4)), 24).shape == (0, 3, 24, 24)


@pytest.mark.parametrize("length", [32, 200])
@pytest.mark.parametrize("full_range", [False, True])
def test_beyond_the_edge_is_black(length: int, full_range: bool) -> None:
    white = coloured(235 + 20 * full_range, 128, 128, full_range=full_range)
    crop = Picture(white).crops(np.array([[-length / 2, 0, length / 2, length]]), 24)[0]
    assert (crop[:, :6, :11] == 0).all()
    assert (crop[:, :6, 14:18] == 255).all()


def test_planes_with_any_stride_and_odd_sizes_are_read() -> None:
    rgb = packaged_face()[:467, :501]
    frame = raw(rgb)
    padded = np.zeros((467, 640), np.uint8)
    padded[:, :501] = frame.y
    strided = RawFrame(frame.id, padded[:, :501], frame.u, frame.v, False, ColourMatrix.BT601, 0.0, 0.0)
    box = np.array([[100.0, 50, 300, 250]])
    assert (drawn(Picture(strided), 150, 140) == drawn(Picture(frame), 150, 140)).all()
    assert (Picture(strided).crops(box, 48) == Picture(frame).crops(box, 48)).all()


def test_read_only_planes_are_enough_and_stay_as_they_are() -> None:
    frame = raw(packaged_face())
    before = frame.y.copy()
    for plane in (frame.y, frame.u, frame.v):
        plane.flags.writeable = False
    drawn(Picture(frame), 154, 154)
    assert (frame.y == before).all()
