"""Pictures for the networks, straight from the YUV planes: no full-size RGB exists.

Rule: halve first, average last. `Picture` keeps halvings of the planes (2x2 means; 4:2:0 chroma already has the first
halving's size). Each pixel of a level or crop is the mean of what lies beneath it in the smallest halving that is fine
enough (means of means grow blurred). What lies beyond the picture's edge is black. Results are RGBX: red, green, blue
and an unused byte, which makes a pixel one machine word.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.detect import native
from faceanond.detect.boxes import Boxes
from faceanond.detect.native import Planes
from faceanond.detect.pyramid import Level
from faceanond.frames import ColourMatrix, Plane, RawFrame

Pixels = NDArray[np.uint8]
Map = NDArray[np.float32]
Squares = NDArray[np.float64]
"""Left, top and length, (n, 3)."""

CHANNELS = 4
_LUMA = {ColourMatrix.BT601: (0.299, 0.114), ColourMatrix.BT709: (0.2126, 0.0722)}
"""Shares of red and blue in the luma (ITU-R BT.601 and BT.709)."""
_MOST_CROPS = 200
"""Crops in one call: OpenCV refuses results of 32768 rows."""


class _Sampler(Protocol):
    """Draws pictures from the planes of one halving (`native.Sampler`, or `_OpenCv` where that cannot run)."""

    fine: float
    """How many pixels of a halving a result should at least be made of along a side."""

    def level(self, out: Pixels, width: int, height: int) -> None: ...

    def crops(self, squares: Squares, side: int) -> Pixels: ...


class Picture:
    """One frame, seen at any size."""

    def __init__(self, frame: RawFrame, *, compiled: bool = True) -> None:
        """`compiled`: whether to use the compiled kernels, where there are any; OpenCV's results differ by rounding."""
        self._frame = frame
        self._make = native.Sampler if compiled and native.missing() is None else _OpenCv
        self._matrix = rgb_matrix(frame.matrix, full_range=frame.full_range)
        self._planes: list[Planes] = [(frame.y, frame.u, frame.v)]
        self._samplers: dict[int, _Sampler] = {}

    def level(self, level: Level) -> Pixels:
        """The whole picture in a level's size, rounded up to even sides by repeating the last column or row:
        RGBX, (rows, columns, 4)."""
        width, height = level.width, level.height
        step = 0
        while min(self._frame.width / width, self._frame.height / height) >= self._make.fine * 2 ** (step + 1):
            step += 1
        drawn = np.empty((height + height % 2, width + width % 2, CHANNELS), np.uint8)
        self._sampler(step).level(drawn, width, height)
        drawn[:, width:] = drawn[:, width - 1 : width]
        drawn[height:] = drawn[height - 1]
        return drawn

    def crops(self, boxes: Boxes, side: int) -> Pixels:
        """The squares as RGBX pictures of that side: (n, side, side, 4). Boxes are square and finite."""
        crops = np.empty((len(boxes), side, side, CHANNELS), np.uint8)
        lengths = boxes[:, 2] - boxes[:, 0]
        squares = np.stack([boxes[:, 0], boxes[:, 1], lengths], axis=1)
        # The halving step whose pixels are just not larger than the crop's.
        steps = np.floor(np.log2(np.maximum(lengths / (side * self._make.fine), 1.0))).astype(np.intp)
        for step in set(steps.tolist()):
            members = steps == step
            crops[members] = self._sampler(step).crops(squares[members] * 0.5**step, side)
        return crops

    def _sampler(self, step: int) -> _Sampler:
        """For the picture at 1 / 2**step of its size. At step 0 the chroma has half of the luma's size."""
        if step not in self._samplers:
            while len(self._planes) <= step:
                y, u, v = self._planes[-1]
                first = len(self._planes) == 1
                self._planes.append((_halved(y), u if first else _halved(u), v if first else _halved(v)))
            black = 0 if self._frame.full_range else 16
            self._samplers[step] = self._make(self._planes[step], 0.5 if step == 0 else 1.0, self._matrix, black)
        return self._samplers[step]


class _OpenCv:
    """`native.Sampler` with OpenCV, where averaging areas would take several times longer than a few samples do."""

    fine = 1.0

    def __init__(self, planes: Planes, share: float, matrix: NDArray[np.float32], black: int) -> None:
        self._planes = planes
        self._share = share
        self._matrix = matrix
        self._black = black

    def level(self, out: Pixels, width: int, height: int) -> None:
        # The luma, which decides, is the mean of four samples a pixel: close to area averaging at a fifth of its cost.
        y, u, v = self._planes
        twice = cv2.resize(y, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
        luma = cv2.resize(twice, (width, height), interpolation=cv2.INTER_AREA)
        chroma = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in (u, v)]
        out[:height, :width] = self._rgbx([luma, *chroma])

    def crops(self, squares: Squares, side: int) -> Pixels:
        drawn = np.empty((len(squares), side, side, CHANNELS), np.uint8)
        enlarged = squares[:, 2] < side
        # What is enlarged keeps its square pixels, as it does when areas are averaged.
        for members, times, how in ((~enlarged, 1, cv2.INTER_LINEAR), (enlarged, 3, cv2.INTER_NEAREST)):
            places = np.flatnonzero(members)
            for start in range(0, len(places), _MOST_CROPS):
                part = places[start : start + _MOST_CROPS]
                drawn[part] = self._some_crops(squares[part], side, times, how)
        return drawn

    def _some_crops(self, squares: Squares, side: int, times: int, how: int) -> Pixels:
        """Means of times x times samples a pixel."""
        planes = []
        for plane, share, black in zip(
            self._planes, (1.0, self._share, self._share), (self._black, 128, 128), strict=True
        ):
            maps = _maps(squares * share, side * times, (plane.shape[1], plane.shape[0]))
            drawn = cv2.remap(plane, *maps, how, borderMode=cv2.BORDER_CONSTANT, borderValue=(black,))
            if times > 1:
                drawn = cv2.resize(drawn, (side, len(squares) * side), interpolation=cv2.INTER_AREA)
            planes.append(drawn)
        return self._rgbx(planes).reshape(-1, side, side, CHANNELS)

    def _rgbx(self, planes: Sequence[cv2.typing.MatLike]) -> Pixels:
        # OpenCV has a fast path for three channels to three, and none for three to four.
        rgb = cv2.transform(cv2.merge(planes), self._matrix)
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), dtype=np.uint8)


@functools.cache
def rgb_matrix(matrix: ColourMatrix, *, full_range: bool) -> NDArray[np.float32]:
    """From (Y, U, V, 1) in 0..255 to RGB in 0..255: (3, 4). Shared, so not to be written to."""
    red, blue = _LUMA[matrix]
    green = 1 - red - blue
    luma, chroma, black = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    u = np.array([0, -2 * (1 - blue) * blue / green, 2 * (1 - blue)]) * chroma
    v = np.array([2 * (1 - red), -2 * (1 - red) * red / green, 0]) * chroma
    offset = -luma * black - 128 * (u + v)
    return np.stack([np.full(3, luma), u, v, offset], axis=1).astype(np.float32)


def _halved(plane: Plane) -> Plane:
    """2x2 means; an odd last column or row counts twice."""
    height, width = plane.shape
    if height % 2 or width % 2:
        edged = cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        plane = np.asarray(edged, dtype=np.uint8)
    size = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _maps(squares: Squares, side: int, size: tuple[int, int]) -> tuple[Map, Map]:
    """Where each pixel of the crops looks in a plane of (width, height): (n * side, side) for x and y."""
    # Pixel i covers i .. i+1: its centre lies half a pixel further, in either picture.
    at = squares[:, :2, None] - 0.5 + squares[:, 2:, None] / side * (np.arange(side) + 0.5)
    last = np.array(size)[None, :, None] - 1.0
    # Within half a pixel of the edge it is still the outermost pixel that is seen, and nothing of the black beyond.
    at = np.where((at > -0.5) & (at < last + 0.5), np.clip(at, 0.0, last), -9.0)
    shape = (len(squares), side, side)
    x = np.broadcast_to(at[:, 0, None, :], shape)
    y = np.broadcast_to(at[:, 1, :, None], shape)
    return x.reshape(-1, side).astype(np.float32), y.reshape(-1, side).astype(np.float32)
