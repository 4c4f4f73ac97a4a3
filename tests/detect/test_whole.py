from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceanond.detect.picture import Picture
from faceanond.detect.whole import GRID, LARGEST, Look, looks, rgb_picture
from faceanond.frames import ColourMatrix
from tests.frames_util import packaged_face, planar, posed, raw


def test_a_face_of_the_smallest_size_becomes_16_pixels_wide() -> None:
    assert looks(1280, 720, 40)[0] == Look(512, 288)
    assert looks(1280, 720, 32)[0] == Look(640, 360)


def test_nothing_is_enlarged() -> None:
    assert looks(100, 80, 16) == looks(100, 80, 12) == [Look(100, 80)]


def test_a_large_picture_is_looked_at_again_in_a_quarter_of_the_size() -> None:
    assert looks(3840, 2160, 12) == [Look(3840, 2160), Look(960, 540), Look(240, 135)]
    assert looks(1280, 720, 40) == [Look(512, 288), Look(128, 72)]
    assert len(looks(600, 450, 40)) == 1


@pytest.mark.parametrize("size", [(1280, 720), (4096, 50), (50, 4096), (301, 299)])
@pytest.mark.parametrize("min_size", [12, 40, 45])
def test_the_last_look_is_small_enough_for_the_largest_face(size: tuple[int, int], min_size: int) -> None:
    last = looks(*size, min_size)[-1]
    assert max(last.width, last.height) <= LARGEST


def test_a_picture_smaller_than_the_smallest_face_gets_no_look() -> None:
    assert looks(40, 600, 40) == []
    assert looks(41, 600, 40) != []


def test_a_look_is_padded_to_the_networks_grid() -> None:
    assert Look(512, 270).padded == (512, 288)
    assert Look(1, 33).padded == (GRID, 2 * GRID)


@pytest.mark.parametrize("matrix", list(ColourMatrix))
@pytest.mark.parametrize("full_range", [True, False])
def test_colours_come_out_as_they_went_in(full_range: bool, matrix: ColourMatrix) -> None:
    rgb = cv2.GaussianBlur(packaged_face(), (0, 0), 3)
    frame = planar(np.asarray(rgb, np.uint8), full_range=full_range, matrix=matrix)
    for width, height in ((512, 512), (300, 290), (128, 128)):
        expected = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA).astype(int)
        difference = np.abs(rgb_picture(Picture(frame), Look(width, height)).astype(int) - expected)
        assert difference.mean() < 2
        assert np.percentile(difference, 99) < 12


def test_a_picture_of_odd_size_stays_in_place_within_half_a_pixel() -> None:
    frame = raw(posed("astronaut 0.9 odd size"))
    for width, height in ((501, 467), (120, 112), (31, 29)):
        small = rgb_picture(Picture(frame), Look(width, height))
        expected = cv2.resize(posed("astronaut 0.9 odd size"), (width, height), interpolation=cv2.INTER_AREA)
        assert small.shape == (height, width, 3)
        shift, _ = cv2.phaseCorrelate(*(np.float32(picture[:, :, 1]) for picture in (small, expected)))
        assert np.hypot(*shift) < 0.5


def test_the_frames_planes_are_left_alone() -> None:
    frame = raw(posed("astronaut 0.5"))
    before = frame.y.copy()
    rgb_picture(Picture(frame), Look(40, 40))
    assert (frame.y == before).all()
