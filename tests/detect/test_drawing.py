"""The sampler of the compiled kernels, in each variant: to the last bit what its arithmetic says, and area averages."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from faceanond.detect.native import Planes, Sampler
from faceanond.detect.picture import rgb_matrix
from faceanond.frames import ColourMatrix, Plane
from tests.detect.fenced import Fenced
from tests.frames_util import packaged_face, raw

pytestmark = pytest.mark.usefixtures("variant")

Integers = NDArray[np.int64]
Random = np.random.Generator

FAR = 260
"""Pixels beyond the planes that squares may reach here."""


class View(NamedTuple):
    """Where to draw: (0, 0) lies at (x, y) of a plane, each pixel is zoom_x by zoom_y of it large."""

    x: float
    y: float
    zoom_x: float
    zoom_y: float
    width: int
    height: int


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


# The arithmetic, in whole numbers of any size


def taps(begin: float, zoom: float, edge: int) -> tuple[int, list[int]]:
    """The first of the source pixels that a result is made of, and their shares of 65535."""
    if zoom > 1 or not edge:
        first = math.floor(begin)
        lefts = [float(first + k) for k in range(math.ceil(zoom) + 1)]
        weights = [max(0.0, min(left + 1, begin + zoom) - max(left, begin)) for left in lefts]
    else:
        at = min(max(begin + 0.5 * zoom - 0.5, 0.0), edge - 1.0)
        first = math.floor(at)
        weights = [1.0, at - first]
    total = 1.0
    if zoom > 1 or not edge:
        total = 0.0  # in this order, as floating point has it; sum() may be more exact
        for weight in weights:
            total += weight
    rest, shares = 65535, []
    for weight in weights[:0:-1]:
        shares.append(min(int(weight * (65535 / total) + 0.5), rest))
        rest -= shares[-1]
    return first, [rest, *shares[::-1]]


def mixed(source: Integers, begin: float, zoom: float, count: int, edge: int) -> Integers:
    """`count` means along the first axis of what begins FAR before the plane; 256 times their value, as the source."""
    results = []
    for number in range(count):
        first, shares = taps(begin + number * zoom, zoom, edge)
        results.append(sum(source[FAR + first + k] * share >> 16 for k, share in enumerate(shares)))
    return np.array(results)


def means(plane: Plane, black: int, view: View, *, whole: bool) -> Integers:
    """Rows first, then columns: 256 times the value of each result, (rows, columns)."""
    height, width = plane.shape if whole else (0, 0)
    source = np.pad(plane.astype(np.int64) << 8, FAR, constant_values=black << 8)
    rows = mixed(source, view.y, view.zoom_y, view.height, height)
    return mixed(rows.T, view.x, view.zoom_x, view.width, width).T


def drawn(
    planes: Planes, share: float, matrix: NDArray[np.float32], black: int, view: View, *, whole: bool
) -> Integers:
    """RGBX as integers."""
    less = View(view.x * share, view.y * share, view.zoom_x * share, view.zoom_y * share, view.width, view.height)
    y, u, v = (
        (means(plane, dark, of, whole=whole) >> 1) - 128 * dark
        for plane, dark, of in zip(planes, (black, 128, 128), (view, less, less), strict=True)
    )
    channels = []
    for of_y, of_u, of_v in np.rint(matrix[:, :3] * 8192).astype(np.int64):
        parts = [value * by + 2**14 >> 15 for value, by in ((y, of_y), (u, of_u), (v, of_v))]
        channels.append(np.clip(sum(parts) + 16 >> 5, 0, 255))
    return np.stack([*channels, np.zeros_like(channels[0])], axis=2)


# Against the kernels


def plane(random: Random, width: int, height: int) -> Plane:
    """Noise, with a stride of its own."""
    return random.integers(0, 256, (height, width + int(random.integers(0, 40))), dtype=np.uint8)[:, :width]


def chosen(random: Random) -> tuple[Planes, float, NDArray[np.float32], int]:
    """What a sampler is made of: planes of one to 280 pixels along a side, odd ones too."""
    width, height = (int(side) for side in np.exp(random.uniform(0, 5.64, 2)))
    share = float(random.choice([0.5, 1.0]))
    less = (-(-width // 2), -(-height // 2)) if share == 0.5 else (width, height)
    full_range = bool(random.integers(2))
    matrix = rgb_matrix(list(ColourMatrix)[random.integers(len(ColourMatrix))], full_range=full_range)
    planes = (plane(random, width, height), plane(random, *less), plane(random, *less))
    return planes, share, matrix, 0 if full_range else 16


@pytest.mark.parametrize("seed", range(60))
def test_a_level_is_to_the_last_bit_what_the_arithmetic_says(seed: int) -> None:
    random = np.random.default_rng(seed)
    planes, share, matrix, black = chosen(random)
    rows, columns = planes[0].shape
    width, height = (
        min(max(int(side / np.exp(random.uniform(-2.3, 1.4))), -(-side // 4)), 400) for side in (columns, rows)
    )
    out = np.full((height + 1, width + 3, 4), 77, np.uint8)
    Sampler(planes, share, matrix, black).level(out, width, height)
    wanted = drawn(planes, share, matrix, black, View(0, 0, columns / width, rows / height, width, height), whole=True)
    assert (out[:height, :width] == wanted).all()
    assert (out[height:] == 77).all()
    assert (out[:, width:] == 77).all()


@pytest.mark.parametrize("seed", range(30))
def test_a_crop_is_to_the_last_bit_what_the_arithmetic_says(seed: int) -> None:
    random = np.random.default_rng(seed)
    planes, share, matrix, black = chosen(random)
    rows, columns = planes[0].shape
    side = int(random.choice([1, 7, 24, 48]))
    zooms = [0.1, 1.0, 3.0, 4.0, *np.exp(random.uniform(-2.3, 1.386, 8))]
    squares = np.array([[random.uniform(-60, columns + 20), random.uniform(-60, rows + 20), z * side] for z in zooms])
    squares[::3, :2] = np.floor(squares[::3, :2])
    for square, crop in zip(squares, Sampler(planes, share, matrix, black).crops(squares, side), strict=True):
        left, top, length = square.tolist()
        view = View(left, top, length / side, length / side, side, side)
        assert (crop == drawn(planes, share, matrix, black, view, whole=False)).all()


@pytest.mark.parametrize("size", [(2, 2), (34, 18), (63, 65), (128, 30), (127, 131)])
def test_the_kernels_read_no_byte_beyond_the_planes(fenced: Fenced, size: tuple[int, int]) -> None:
    frame = raw(np.ascontiguousarray(packaged_face()[60 : 60 + size[1], 160 : 160 + size[0]]))
    squares = np.array([[x, y, length] for x in (-20, 0, 60, 120) for y in (-9, 20, 125) for length in (7, 30, 90)])
    drawn = []
    for planes in ((frame.y, frame.u, frame.v), tuple(map(fenced.copy, (frame.y, frame.u, frame.v)))):
        sampler = Sampler((planes[0], planes[1], planes[2]), 0.5, rgb_matrix(frame.matrix, full_range=False), 16)
        out = np.zeros((frame.height, frame.width, 4), np.uint8)
        sampler.level(out, frame.width, frame.height)
        drawn.append((out, sampler.crops(squares, 24), sampler.crops(squares, 48)))
    for plain, guarded in zip(*drawn, strict=True):
        assert (plain == guarded).all()


def test_what_the_kernels_have_no_room_for_is_refused() -> None:
    frame = raw(noise(200, 300, 3))
    sampler = Sampler((frame.y, frame.u, frame.v), 0.5, rgb_matrix(frame.matrix, full_range=False), 16)
    with pytest.raises(ValueError, match="too many to be drawn as 74x60"):
        sampler.level(noise(60, 74, 4), 74, 60)
    lengths = [[0, 0, length] for length in (97, 0, -5, 1e-9, np.nan)]
    for square in (*lengths, [np.inf, 0, 20], [0, np.nan, 20], [1e7, 0, 20]):
        with pytest.raises(ValueError, match="squares are 1e-06 to 96 long"):
            sampler.crops(np.array([[0.0, 0.0, 20.0], square]), 24)


def test_a_picture_that_does_not_fit_is_refused() -> None:
    frame = raw(packaged_face())
    sampler = Sampler((frame.y, frame.u, frame.v), 0.5, rgb_matrix(frame.matrix, full_range=False), 16)
    for out in (noise(10, 10, 4), noise(20, 20, 3), noise(40, 20, 4)[::2]):
        with pytest.raises(ValueError, match="do not fit"):
            sampler.level(out, 20, 20)


# The arithmetic against the definition


def sums(plane: NDArray[np.uint8], black: int, at: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """The plane's sum from far before its beginning up to each place along an axis; black beyond the edges."""
    far = 300
    padded = np.pad(
        plane.astype(np.float64), [(far, far) if i == axis else (0, 0) for i in range(2)], constant_values=black
    )
    total = np.concatenate([np.zeros_like(padded.take([0], axis)), padded.cumsum(axis)], axis)
    whole = np.floor(at + far).astype(int)
    part = (at + far - whole).reshape([-1 if i == axis else 1 for i in range(2)])
    return np.asarray(total.take(whole, axis) + part * padded.take(whole, axis))


def averaged(
    plane: NDArray[np.uint8], black: int, square: tuple[float, float, float], side: int
) -> NDArray[np.float64]:
    """The definition: each result is the mean of the plane beneath it."""
    left, top, length = square
    edges = np.arange(side + 1) * (length / side)
    rows = np.pad(plane, [(0, 0), (300, 300)], constant_values=black)
    rows = np.diff(sums(rows, black, top + edges, 0), axis=0)
    # The first pass has sums of rows, so black counts as often.
    columns = np.diff(_columns(rows, left + 300 + edges), axis=1)
    return columns / (length / side) ** 2


def _columns(rows: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.concatenate([np.zeros((len(rows), 1)), rows.cumsum(1)], 1)
    whole = np.floor(at).astype(int)
    return total[:, whole] + (at - whole) * rows[:, whole]


@pytest.mark.parametrize("side", [24, 48])
def test_a_crop_is_the_mean_of_what_lies_beneath_each_pixel(side: int) -> None:
    random = np.random.default_rng(2)
    luma = random.integers(0, 256, (70, 90)).astype(np.uint8)
    grey = np.full((70, 90), 128, np.uint8)
    matrix = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]], np.float32)
    squares = [(10.0, 5.0, 24.0), (3.3, 7.7, 50.1), (-20.4, -3.0, 96.0), (60.2, 50.9, 70.0), (30.1, 30.6, 9.3)]
    crops = Sampler((luma, grey, grey), 1.0, matrix, 0).crops(np.array(squares), side)
    for square, crop in zip(squares, crops, strict=True):
        wanted = averaged(luma, 0, square, side)
        assert np.abs(crop[..., 0] - wanted).max() < 1.5
        assert (crop[..., 0] == crop[..., 2]).all()
