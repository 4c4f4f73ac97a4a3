from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.anonymise.planes import Planes, even
from tests.anonymise.pictures import of_planes, plain, raw


@given(width=st.integers(1, 40), height=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_copy_holds_every_pixel_and_repeats_the_last_column_and_row_of_odd_sizes(
    width: int, height: int, seed: int
) -> None:
    frame = raw(width, height, seed=seed)

    planes = Planes.copied(frame)

    assert (planes.i420 == plain(frame)).all()
    assert (planes.width, planes.height) == (even(width), even(height))


def test_a_copy_shares_nothing_with_the_decoder() -> None:
    frame = raw()
    before = frame.y.copy()

    planes = Planes.copied(frame)
    planes.i420[:] = 0

    assert (frame.y == before).all()
    assert planes.i420.base is None


@pytest.mark.parametrize("width", [256, 255])
def test_full_range_becomes_limited_range_by_the_standard_formula(width: int) -> None:
    ramp = np.arange(256)[:width]
    y = np.tile(ramp, (2, 1)).astype(np.uint8)
    chroma = np.tile(ramp[::2], (1, 1)).astype(np.uint8)

    planes = Planes.copied(of_planes(y, chroma, chroma.copy(), full_range=True))

    assert (planes.y[:, :width] == np.rint(16 + ramp * 219 / 255)).all()
    assert (planes.u == np.rint(128 + (chroma.astype(float) - 128) * 224 / 255)).all()
    assert (planes.v == planes.u).all()
    assert planes.y.min() == 16


def test_limited_range_is_left_as_it_is() -> None:
    frame = raw(full_range=False)

    assert (Planes.copied(frame).y == frame.y).all()


def test_the_views_are_parts_of_one_picture() -> None:
    planes = Planes.filled(6, 4, luma=50)
    planes.u[:] = 1
    planes.v[:] = 2

    assert planes.i420.ravel().tolist() == [50] * 24 + [1] * 6 + [2] * 6
