from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from faceanond.frames import RawFrame
from faceanond.track.motion import MotionMeter
from tests.pictures import raw_frame

SIZES = [(1280, 720), (1280, 960), (1920, 1080), (400, 300), (1280, 800), (1000, 570)]
sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


def scene(size: tuple[int, int], *, moved: int = 0, square: int = 0) -> RawFrame:
    """A wall, `moved` to the right by so many pixels, with a bright square in front of it."""
    width, height = size
    coarse = np.random.default_rng(1).integers(40, 200, (height // 40, width // 40 + 8)).astype(np.uint8)
    wall = np.asarray(cv2.resize(coarse, (width + 480, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    luma = wall[:, 240 - moved : 240 - moved + width].copy()
    luma[height // 4 : height // 2, square : square + width // 8] = 250
    return replace(raw_frame(size=size), y=luma)


@sizes
def test_somebody_who_moves_is_no_cut(size: tuple[int, int]) -> None:
    """Twenty frames in a row: what one measurement leaves behind is what the next one compares with."""
    meter = MotionMeter()
    assert not any(meter.measure(scene(size, square=20 * number)).cut for number in range(20))


@sizes
def test_a_camera_that_pans_is_followed_frame_by_frame(size: tuple[int, int]) -> None:
    meter = MotionMeter()
    meter.measure(scene(size))
    step = size[0] // 80
    for number in range(1, 8):
        motion = meter.measure(scene(size, moved=step * number, square=step * number))
        assert not motion.cut
        assert motion.dx == pytest.approx(step, rel=0.4)


def test_another_place_is_a_cut() -> None:
    meter = MotionMeter()
    meter.measure(scene((1280, 720)))
    other = scene((1280, 720)).y[::-1, ::-1].copy()
    assert meter.measure(replace(raw_frame(size=(1280, 720)), y=other)).cut
