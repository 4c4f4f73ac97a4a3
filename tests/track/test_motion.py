from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceanond.frames import Plane, RawFrame
from faceanond.track.motion import WIDTH, Motion, MotionMeter, likeness, thumbnail
from tests.track.film import SIZE, frame_of, picture

LARGE = (1280, 720)
PIXEL = LARGE[0] / WIDTH
"""Of a thumbnail, in pixels of the picture."""


def view(scene: int, left: int = 0, top: int = 0, size: tuple[int, int] = LARGE) -> RawFrame:
    """A part of a wider scene."""
    wide = picture(scene, (size[0] * 3 // 2, size[1] * 3 // 2))
    return frame_of(wide[top : top + size[1], left : left + size[0]])


def between(one: RawFrame, other: RawFrame) -> Motion:
    meter = MotionMeter()
    assert meter.measure(one) == Motion(), "a first frame has no motion"
    return meter.measure(other)


def levels(luma: Plane, gain: float, offset: float = 0.0, noisy: float = 0.0) -> RawFrame:
    grain = np.random.default_rng(0).normal(0, noisy, luma.shape)
    return frame_of(np.clip(luma * gain + offset + grain, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("seed", range(5))
def test_another_scene_is_a_cut(seed: int) -> None:
    assert between(view(seed), view(seed + 50)).cut


def test_the_same_picture_does_not_move() -> None:
    assert between(view(1), view(1)) == Motion()


@pytest.mark.parametrize("noisy", [5.0, 20.0])
def test_noise_is_neither_a_cut_nor_a_movement(noisy: float) -> None:
    motion = between(view(1), levels(view(1).y, 1.0, noisy=noisy))
    assert not motion.cut
    assert abs(motion.dx) + abs(motion.dy) < PIXEL / 2


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.0), (0.5, 60.0), (1.5, -30.0), (0.1, 0.0)])
def test_another_brightness_is_neither_a_cut_nor_a_movement(gain: float, offset: float) -> None:
    for one, other in ((view(1), levels(view(1).y, gain, offset)), (levels(view(1).y, gain, offset), view(1))):
        motion = between(one, other)
        assert not motion.cut
        assert abs(motion.dx) + abs(motion.dy) < PIXEL


@pytest.mark.parametrize("shake", [(64, 0), (-64, 0), (0, 64), (45, -45)])
def test_a_shake_by_a_twentieth_of_the_width_is_no_cut(shake: tuple[int, int]) -> None:
    assert not between(view(1, 200, 150), view(1, 200 + shake[0], 150 + shake[1])).cut


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("dx", "dy"), [(20, 0), (-20, 0), (0, 20), (0, -20), (40, 25), (-60, 30), (64, 0), (13, -7)])
def test_a_movement_of_the_camera_is_measured_to_about_a_pixel_of_the_thumbnail(seed: int, dx: int, dy: int) -> None:
    motion = between(view(seed, 200, 150), view(seed, 200 - dx, 150 - dy))
    assert motion.dx == pytest.approx(dx, abs=1.5 * PIXEL)
    assert motion.dy == pytest.approx(dy, abs=1.5 * PIXEL)
    assert not motion.cut


def test_a_fast_pan_is_no_cut() -> None:
    motion = between(view(1, 200, 150), view(1, 80, 150))
    assert not motion.cut
    assert motion.dx == pytest.approx(120, abs=1.5 * PIXEL)


def test_every_step_of_a_longer_movement_is_measured() -> None:
    """A frame is compared with the one before it as that came, whatever the measuring did with it."""
    meter = MotionMeter()
    meter.measure(view(1, 0, 100))
    for step in range(1, 9):
        motion = meter.measure(view(1, 40 * step, 100))
        assert motion.dx == pytest.approx(-40, abs=PIXEL)
        assert not motion.cut


def test_measuring_leaves_the_frame_before_as_it_was() -> None:
    meter = MotionMeter()
    meter.measure(view(1, 0, 100))
    for _ in range(3):
        meter.measure(view(1, 60, 100))
        assert meter.measure(view(1, 60, 100)) == Motion()
        meter.measure(view(1, 0, 100))


def test_somebody_who_walks_past_does_not_move_the_picture() -> None:
    def walking(x: int) -> RawFrame:
        luma = view(1).y.copy()
        luma[200:600, x : x + 150] = picture(9, (150, 400))
        return frame_of(luma)

    motion = between(walking(300), walking(340))
    assert not motion.cut
    assert abs(motion.dx) + abs(motion.dy) < PIXEL


def test_a_frame_of_another_size_has_no_motion_and_the_next_one_has() -> None:
    meter = MotionMeter()
    meter.measure(view(1))
    assert meter.measure(view(50, size=(480, 480))) == Motion()
    assert meter.measure(view(60, size=(480, 480))).cut


@pytest.mark.parametrize("level", [0, 128, 255])
def test_pictures_of_one_colour_have_no_motion(level: int) -> None:
    plain = frame_of(np.full((SIZE[1], SIZE[0]), level, np.uint8))
    assert between(plain, plain) == Motion()
    motion = between(plain, frame_of(np.full((SIZE[1], SIZE[0]), 200, np.uint8)))
    assert (motion.dx, motion.dy) == (0, 0)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (16, 16), (41, 39), (5000, 20), (20, 3000)])
def test_pictures_of_any_shape_are_measured(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    one, other = (frame_of(random.integers(0, 256, size[::-1]).astype(np.uint8)) for _ in range(2))
    motion = between(one, other)
    assert np.isfinite([motion.dx, motion.dy]).all()


def test_a_thumbnail_is_small_whatever_the_picture() -> None:
    for size in (SIZE, LARGE, (3840, 2160)):
        assert thumbnail(picture(1, size)).shape[1] == WIDTH


def test_padded_rows_of_a_decoder_are_no_trouble() -> None:
    padded = np.zeros((360, 700), np.uint8)
    padded[:, :640] = picture(1, SIZE)
    assert (thumbnail(padded[:, :640]) == thumbnail(picture(1, SIZE))).all()


def test_a_picture_is_like_itself_whatever_its_contrast() -> None:
    small = thumbnail(picture(1, SIZE))
    assert likeness(small, small) == pytest.approx(1)
    assert likeness(small, small * 0.2 + 30) == pytest.approx(1, abs=1e-4)
    assert likeness(small, cv2.flip(small, 1)) < 0.9
