from __future__ import annotations

import numpy as np
import pytest

from faceanond.anonymise.effects import (
    ACROSS,
    LADDER,
    SOLID,
    SOLID_LUMA,
    STEP,
    Effect,
    concealing_effect,
    effect_for,
    hide,
    hide_all,
)
from faceanond.anonymise.planes import Planes
from faceanond.anonymise.shapes import Stencil, box_stencil
from faceanond.frames import Box
from tests.anonymise.pictures import raw


def stencil(x1: int, y1: int, x2: int, y2: int, planes: Planes) -> Stencil:
    made = box_stencil(Box(x1, y1, x2, y2), planes.width, planes.height)
    assert made is not None
    return made


@pytest.mark.parametrize("side", [8, 12, 40, 41, 100, 333, 1080])
@pytest.mark.parametrize("level", [2, 7, 12])
def test_cells_grow_with_the_face(side: float, level: int) -> None:
    cell = effect_for("mosaic", side, mosaic_level=level, blur_level=50).cell

    assert cell in LADDER
    assert cell * (level - 1) >= side
    assert cell == LADDER[0] or cell < 2 * side / (level - 1)


def test_a_trembling_box_keeps_its_grid() -> None:
    cells = {effect_for("mosaic", side, mosaic_level=7, blur_level=50).cell for side in np.arange(75, 95, 0.5)}

    assert len(cells) == 1


def test_a_cell_covers_whole_chroma_samples() -> None:
    assert all(size % 2 == 0 for size in LADDER)


@pytest.mark.parametrize(("side", "sigma"), [(40, 50.0), (200, 50.0), (400, 100.0)])
def test_blur_scales_with_large_faces_and_never_falls_below_its_level(side: float, sigma: float) -> None:
    assert effect_for("blur", side, mosaic_level=7, blur_level=50).sigma == sigma


def test_blur_lies_over_the_mosaics_cells() -> None:
    mosaic = effect_for("mosaic", 100, mosaic_level=7, blur_level=50)

    assert effect_for("blur", 100, mosaic_level=7, blur_level=50).cell == mosaic.cell


@pytest.mark.parametrize("side", [40, 400, 800])
def test_at_the_floor_a_blur_spans_no_less_than_a_quarter_of_the_face(side: float) -> None:
    assert effect_for("blur", side, mosaic_level=12, blur_level=20).sigma == max(20, side / 4)


@pytest.mark.parametrize("level", [2, 7, 12])
@pytest.mark.parametrize("side", [12, 50, 310, 700])
def test_a_mosaic_shows_no_more_cells_along_a_side_than_its_level(level: int, side: int) -> None:
    """Counted in the picture: how often the value changes along the face's rows and columns."""
    planes = Planes.copied(raw(901, 901))
    left = 101
    box = stencil(left, left, left + side, left + side, planes)

    hide(planes, [(box, effect_for("mosaic", side, mosaic_level=level, blur_level=50))])

    face = planes.y[left : left + side, left : left + side].astype(int)
    for axis in (0, 1):
        edges = np.flatnonzero(np.diff(face, axis=axis).any(axis=1 - axis))
        assert len(edges) + 1 <= level


@pytest.mark.parametrize("cell", [4, 24])
def test_a_mosaic_has_at_most_29_values_in_every_plane(cell: int) -> None:
    planes = Planes.copied(raw(200, 200))
    planes.y[:100] = planes.y[:100] // 4 + 16  # dark, middle and bright parts
    values = {*range(16, 235, STEP), 235}

    hide(planes, [(stencil(0, 0, 200, 200, planes), Effect(cell))])

    assert len(values) == 29
    assert {*planes.i420.ravel().tolist()} <= values


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (640, 480), (33, 17), (2, 2), (4000, 20)])
@pytest.mark.parametrize("level", [2, 7, 12])
def test_a_concealed_picture_has_few_cells_each_way(size: tuple[int, int], level: int) -> None:
    cell = concealing_effect("mosaic", *size, mosaic_level=level).cell

    assert cell % 2 == 0
    assert -(-max(size) // cell) <= ACROSS
    assert -(-min(size) // cell) <= max(1, level - 1)


def test_solid_conceals_with_one_colour() -> None:
    assert concealing_effect("solid", 640, 480, mosaic_level=7) == SOLID


def test_a_mosaic_cell_shows_its_mean_rounded_to_a_step() -> None:
    planes = Planes.copied(raw(32, 32))
    before = planes.y.astype(float)

    hide(planes, [(stencil(8, 8, 24, 24, planes), Effect(8))])

    for row in (8, 16):
        for column in (8, 16):
            cell = planes.y[row : row + 8, column : column + 8]
            assert cell.min() == cell.max()
            assert cell[0, 0] % STEP == 0
            assert abs(cell[0, 0] - before[row : row + 8, column : column + 8].mean()) <= STEP / 2


def test_a_cell_at_the_edge_is_the_mean_of_what_the_picture_has_of_it() -> None:
    planes = Planes.copied(raw(20, 12))
    mean = planes.y[8:, 16:].astype(float).mean()

    hide(planes, [(stencil(0, 0, 20, 12, planes), Effect(8))])

    assert abs(planes.y[11, 19] - mean) <= STEP / 2


def test_grey_stays_grey() -> None:
    planes = Planes.filled(32, 32, luma=100)

    hide_all(planes, Effect(8))

    assert (planes.u == 128).all()
    assert (planes.v == 128).all()


def test_values_stay_in_limited_range() -> None:
    for value in (0, 16, 235, 255):
        planes = Planes.filled(32, 32, luma=value)
        planes.u[:] = value

        hide_all(planes, Effect(8))

        assert planes.i420.min() >= 16
        assert planes.i420.max() <= 235


def test_blur_has_no_hard_edges_and_less_contrast_than_its_cells() -> None:
    planes, sharp = Planes.copied(raw(96, 96)), Planes.copied(raw(96, 96))
    whole = stencil(0, 0, 96, 96, planes)

    hide(planes, [(whole, Effect(16, sigma=24))])
    hide(sharp, [(whole, Effect(16))])

    assert np.abs(np.diff(planes.y.astype(int), axis=1)).max() <= 2
    assert planes.y.std() < sharp.y.std()


def test_of_two_overlapping_regions_the_coarser_wins() -> None:
    both, alone = Planes.copied(raw(64, 64)), Planes.copied(raw(64, 64))
    large, small = (stencil(0, 0, 48, 48, both), Effect(16)), (stencil(40, 40, 60, 60, both), Effect(4))

    hide(both, [small, large])
    hide(alone, [large])

    assert (both.y[:48, :48] == alone.y[:48, :48]).all()
    assert (both.u[:24, :24] == alone.u[:24, :24]).all()


def test_solid_wins_over_everything() -> None:
    planes = Planes.copied(raw(64, 64))

    hide(planes, [(stencil(0, 0, 64, 64, planes), Effect(64)), (stencil(10, 10, 20, 20, planes), SOLID)])

    assert (planes.y[10:20, 10:20] == SOLID_LUMA).all()


def test_nothing_to_hide_changes_nothing() -> None:
    planes = Planes.copied(raw())
    before = planes.i420.copy()

    hide(planes, [])

    assert (planes.i420 == before).all()
