from __future__ import annotations

import pytest

from faceanond.frames import Box, Face, Region, RegionKind
from faceanond.pipeline.residue import residual

FACE = Face(Box(100, 100, 140, 150), 0.8)


def mask(x1: float, y1: float, x2: float, y2: float, kind: RegionKind = RegionKind.FACE) -> Region:
    return Region(Box(x1, y1, x2, y2), kind)


def test_a_face_that_no_mask_covers_is_visible() -> None:
    assert residual([FACE], []) == [FACE]
    assert residual([FACE], [mask(200, 100, 260, 170)]) == [FACE]


@pytest.mark.parametrize(
    "covering",
    [
        pytest.param(mask(90, 90, 150, 160), id="all of it"),
        pytest.param(mask(100, 100, 140, 129), id="most of it, with the centre"),
        pytest.param(mask(95, 127, 150, 160), id="most of it, counting the grown edge, without the centre"),
        pytest.param(mask(108, 112, 132, 138), id="the middle, and a fair part"),
    ],
)
def test_a_face_under_a_mask_is_covered(covering: Region) -> None:
    assert residual([FACE], [covering]) == []


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param(mask(135, 100, 200, 150), id="a neighbour's mask touches it"),
        pytest.param(mask(112, 118, 128, 132), id="a small mask in the middle"),
        pytest.param(mask(100, 100, 139, 115), id="only the forehead"),
    ],
)
def test_a_face_of_which_too_little_is_under_a_mask_is_visible(beside: Region) -> None:
    assert residual([FACE], [beside]) == [FACE]


def test_two_masks_cover_together() -> None:
    left, right = mask(100, 100, 110, 150), mask(130, 100, 140, 150)
    assert residual([FACE], [left]) == [FACE]
    assert residual([FACE], [left, right, mask(110, 100, 115, 150)]) == []


def test_the_bounds_of_zones_hide_nobody() -> None:
    assert residual([FACE], [mask(0, 0, 640, 480, RegionKind.ZONE)]) == [FACE]


def test_only_the_visible_ones_of_several_are_told() -> None:
    other = Face(Box(300, 100, 340, 150), 0.6)
    assert residual([FACE, other], [mask(95, 95, 145, 155)]) == [other]
    assert residual([], [mask(95, 95, 145, 155)]) == []
