from __future__ import annotations

import pytest

from faceanond.detect.pyramid import is_searched, levels


def test_levels_start_at_the_smallest_face_and_end_at_12_pixels() -> None:
    found = levels(1280, 720, 40, 0.709)
    assert (found[0].width, found[0].height) == (385, 217)
    assert len(found) == 9
    assert 720 * found[-1].scale > 12 >= 720 * found[-1].scale * 0.709


@pytest.mark.parametrize("size", [(1, 1), (11, 200), (40, 500), (39, 39)])
def test_a_picture_no_larger_than_the_smallest_face_has_no_levels(size: tuple[int, int]) -> None:
    assert levels(*size, 40, 0.709) == []
    assert not is_searched(size, 40)


def test_one_pixel_more_has_one() -> None:
    assert len(levels(41, 500, 40, 0.709)) == 1
