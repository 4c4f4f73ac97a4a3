from __future__ import annotations

import numpy as np
import pytest

from faceanond.anonymise import effects
from faceanond.anonymise.planes import Planes
from faceanond.anonymise.shapes import box_stencil
from faceanond.evaluate.coverage import Coverage, changed_blocks, concealed, coverage, shows_through
from faceanond.evaluate.tally import FaceFrame
from faceanond.frames import Box
from tests.evaluate.labels import label

SIZE = (200, 120)


def picture(*, flat: bool = False) -> Planes:
    planes = Planes.filled(*SIZE, 100)
    if not flat:
        planes.y[:] = np.random.default_rng(1).integers(16, 236, planes.y.shape)
    return planes


def copy(planes: Planes) -> Planes:
    other = Planes.empty(planes.width, planes.height)
    np.copyto(other.i420, planes.i420)
    return other


def columns(count: int) -> Coverage:
    """The first block columns are hidden."""
    hidden = np.zeros((60, 100), np.bool_)
    hidden[:, :count] = True
    return Coverage(hidden, *SIZE)


@pytest.mark.parametrize(("hidden", "share", "leaked"), [(35, 0.69, True), (36, 0.71, False)])
def test_a_face_leaks_when_less_than_seven_tenths_are_hidden(hidden: int, share: float, leaked: bool) -> None:
    box = (1, 0, 101, 100)
    covered = columns(hidden).share(Box(*box))
    assert covered == pytest.approx(share)
    assert FaceFrame(label(box=box), covered).leaked is leaked


def test_exactly_seven_tenths_are_enough() -> None:
    assert not FaceFrame(label(), columns(35).share(Box(0, 0, 100, 100))).leaked


def test_a_share_is_taken_to_a_fraction_of_a_block() -> None:
    assert columns(1).share(Box(1.5, 0.25, 3.5, 0.75)) == pytest.approx(0.25)


def test_only_the_part_inside_the_picture_counts() -> None:
    assert columns(10).share(Box(-20, 0, 20, 10)) == pytest.approx(1.0)
    assert columns(100).share(Box(200, 0, 240, 10)) == 0.0


def test_what_is_changed_within_a_region_is_hidden() -> None:
    before = picture()
    after = copy(before)
    after.y[20:60, 40:100] = 60
    found = coverage(before, after.i420, [Box(40, 20, 100, 60)], SIZE)
    assert found.share(Box(40, 20, 100, 60)) == 1.0
    assert found.area() == 60 * 40


def test_what_is_changed_outside_every_region_is_not_hidden() -> None:
    before = picture()
    after = copy(before)
    after.y[20:60, 40:100] = 60
    assert coverage(before, after.i420, [Box(100, 20, 160, 60)], SIZE).area() == 0
    assert coverage(before, after.i420, [], SIZE).area() == 0


def test_a_region_that_changed_nothing_hides_nothing() -> None:
    before = picture()
    assert coverage(before, copy(before).i420, [Box(40, 20, 100, 60)], SIZE).area() == 0


def test_changed_chroma_is_a_change() -> None:
    before = picture()
    after = copy(before)
    after.u[10, 20] += 1
    after.v[12, 22] += 1
    assert np.argwhere(changed_blocks(before, after.i420)).tolist() == [[10, 20], [12, 22]]


def test_pinholes_are_closed_and_larger_gaps_are_not() -> None:
    before = picture()
    after = copy(before)
    after.y[20:60, 40:100] = 60
    for gap in (np.s_[30:34, 50:54], np.s_[30:50, 70:90]):
        after.y[gap] = before.y[gap]
    found = coverage(before, after.i420, [Box(40, 20, 100, 60)], SIZE)
    assert found.share(Box(50, 30, 54, 34)) == 1.0
    assert found.share(Box(70, 30, 90, 50)) < 0.2


def test_closing_does_not_reach_out_of_the_regions() -> None:
    before = picture()
    after = copy(before)
    after.y[20:60, 40:100] = 60
    found = coverage(before, after.i420, [Box(40, 20, 68, 60), Box(72, 20, 100, 60)], SIZE)
    assert found.share(Box(68, 20, 72, 60)) == 0.0


def test_a_masked_face_on_a_flat_ground_is_hidden() -> None:
    before = picture(flat=True)
    before.y[30:50, 60:80] = np.random.default_rng(2).integers(16, 236, (20, 20))
    after = copy(before)
    stencil = box_stencil(Box(50, 20, 90, 60), *SIZE)
    assert stencil is not None
    effects.hide(after, [(stencil, effects.effect_for("mosaic", 40, mosaic_level=7, blur_level=50))])
    assert coverage(before, after.i420, [stencil.bounds(*SIZE)], SIZE).share(Box(60, 30, 80, 50)) == 1.0


@pytest.mark.parametrize(("size", "pixels"), [((8, 6), 48), ((7, 6), 42), ((8, 5), 40), ((7, 5), 35)])
def test_an_area_counts_the_pixels_of_the_input_only(size: tuple[int, int], pixels: int) -> None:
    assert Coverage(np.ones((3, 4), np.bool_), *size).area() == pixels


def test_blocks_are_all_that_a_box_touches() -> None:
    touched = columns(0).blocks([Box(3.5, 1, 6.5, 4), Box(-10, -10, -1, -1)])
    assert np.argwhere(touched).tolist() == [[row, column] for row in (0, 1) for column in (1, 2, 3)]


def test_a_picture_is_concealed_when_its_texture_is_gone() -> None:
    before = picture()
    after = copy(before)
    assert not concealed(before, after.i420)
    after.y[:20] = 0
    assert not concealed(before, after.i420)
    after.y[:] = 0
    assert concealed(before, after.i420)


def test_a_flat_picture_shows_nobody() -> None:
    before = picture(flat=True)
    assert concealed(before, copy(before).i420)


BOX = Box(40, 20, 100, 60)


@pytest.mark.parametrize("change", [1, -3, 20])
def test_a_mask_that_only_shifts_the_brightness_shows_the_face(change: int) -> None:
    before, after = picture(), copy(picture())
    region = after.y[20:60, 40:100]
    region[:] = np.clip(region.astype(int) + change, 0, 255)
    assert coverage(before, after.i420, [BOX], SIZE).share(BOX) > 0.9, "every pixel differs"
    assert shows_through(before, after.i420, BOX)


def test_a_grey_patch_shows_nothing_through() -> None:
    before, after = picture(), copy(picture())
    after.y[20:60, 40:100] = 60
    assert not shows_through(before, after.i420, BOX)
    assert not shows_through(picture(flat=True), picture(flat=True).i420, BOX), "there is nothing to see"
