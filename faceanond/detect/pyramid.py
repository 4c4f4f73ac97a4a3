"""Pictures for the networks, straight from the YUV planes: no full-size RGB exists.

Rule: halve first, interpolate last. `Picture` keeps halvings of the frame (exact 2x2 means; 4:2:0 chroma already has
the first halving's size). A level or crop of any size is interpolated from the smallest halving that is not smaller,
so that each of its pixels still sees all of the picture beneath it, as area averaging would; only those few pixels
are turned into RGB. What lies beyond the picture's edge is black.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.detect.boxes import CELL, Boxes
from faceanond.frames import ColourMatrix, Plane, RawFrame

Pixels = NDArray[np.uint8]
Tensor = NDArray[np.float32]

_LUMA = {ColourMatrix.BT601: (0.299, 0.114), ColourMatrix.BT709: (0.2126, 0.0722)}
"""Shares of red and blue in the luma (ITU-R BT.601 and BT.709)."""


_MOST_CROPS = 512
"""Crops in one call: OpenCV refuses results of 32768 rows."""


@dataclass(frozen=True, slots=True)
class Level:
    """One size of the pyramid: `scale` is exact, width and height are rounded to whole pixels."""

    scale: float
    width: int
    height: int


def levels(width: int, height: int, min_size: int, factor: float) -> list[Level]:
    """The pyramid's levels, largest first: down to where the smaller side would not exceed P-Net's 12 pixels."""
    scale = CELL / min_size
    found: list[Level] = []
    if not is_searched((width, height), min_size):
        return found
    while min(width, height) * scale > CELL:
        found.append(Level(scale, int(width * scale + 1), int(height * scale + 1)))
        scale *= factor
    return found


def is_searched(size: tuple[int, int], min_size: int) -> bool:
    """Whether the pyramid of a picture of that (width, height) has a level at all; else no network looks at it."""
    return min(size) > min_size


class Picture:
    """One frame, seen at any size."""

    def __init__(self, frame: RawFrame) -> None:
        self._frame = frame
        self._halvings: list[Pixels] = []
        self._to_rgb = _rgb_matrix(frame)
        self._black = (0.0 if frame.full_range else 16.0, 128.0, 128.0)

    def level(self, level: Level, out: Tensor) -> None:
        """Draws the whole picture in a level's size: RGB in 0..255 into `out`, (3, height, width)."""
        size = (level.width, level.height)
        step = 0
        while self._frame.width >> (step + 1) >= level.width and self._frame.height >> (step + 1) >= level.height:
            step += 1
        if step:
            small = _resized(self._halving(step), size)
        else:
            frame = self._frame
            small = _merged([_averaged(frame.y, size), _resized(frame.u, size), _resized(frame.v, size)])
        np.copyto(out, self._rgb(small).transpose(2, 0, 1))

    def crops(self, boxes: Boxes, side: int) -> Tensor:
        """The squares as RGB pictures of that side: (n, 3, side, side), 0..255. Boxes are square and finite."""
        if len(boxes) == 0:
            return np.empty((0, 3, side, side), np.float32)
        crops = np.empty((len(boxes), side, side, 3), np.uint8)
        # The halving step whose pixels are just not larger than the crop's.
        ratio = (boxes[:, 2] - boxes[:, 0]) / side
        steps = np.floor(np.log2(np.maximum(ratio, 1.0))).astype(np.intp)
        for step in np.unique(steps).tolist():
            members = np.flatnonzero(steps == step)
            for start in range(0, len(members), _MOST_CROPS):
                part = members[start : start + _MOST_CROPS]
                crops[part] = self._sampled(boxes[part], side, step).reshape(-1, side, side, 3)
        rgb = self._rgb(crops.reshape(-1, side, 3)).reshape(crops.shape)
        return np.ascontiguousarray(rgb.transpose(0, 3, 1, 2), dtype=np.float32)

    def _sampled(self, boxes: Boxes, side: int, step: int) -> Pixels:
        """The squares from one halving, Y, U and V interleaved, one below the other: (n * side, side, 3)."""
        if step:
            return _remapped(self._halving(step), _maps(boxes, side, 0.5**step), self._black)
        frame, chroma = self._frame, _maps(boxes, side, 0.5)
        return _merged(
            [
                _remapped(frame.y, _maps(boxes, side, 1.0), self._black[:1]),
                _remapped(frame.u, chroma, self._black[1:2]),
                _remapped(frame.v, chroma, self._black[2:]),
            ]
        )

    def _halving(self, step: int) -> Pixels:
        """The picture at 1 / 2**step of its size, Y, U and V interleaved; step is at least 1."""
        if not self._halvings:
            frame = self._frame
            self._halvings.append(_merged([_halved(frame.y), frame.u, frame.v]))
        while len(self._halvings) < step:
            self._halvings.append(_halved(self._halvings[-1]))
        return self._halvings[step - 1]

    def _rgb(self, pixels: Pixels) -> Pixels:
        return np.asarray(cv2.transform(pixels, self._to_rgb), dtype=np.uint8)


def _rgb_matrix(frame: RawFrame) -> NDArray[np.float32]:
    """From (Y, U, V, 1) in 0..255 to RGB in 0..255."""
    red, blue = _LUMA[frame.matrix]
    green = 1 - red - blue
    luma, chroma, black = (1.0, 1.0, 0.0) if frame.full_range else (255 / 219, 255 / 224, 16.0)
    u = np.array([0, -2 * (1 - blue) * blue / green, 2 * (1 - blue)]) * chroma
    v = np.array([2 * (1 - red), -2 * (1 - red) * red / green, 0]) * chroma
    offset = -luma * black - 128 * (u + v)
    return np.stack([np.full(3, luma), u, v, offset], axis=1).astype(np.float32)


def _merged(planes: list[Plane]) -> Pixels:
    return np.asarray(cv2.merge(planes), dtype=np.uint8)


def _halved(pixels: Plane) -> Pixels:
    """2x2 means; an odd last column or row counts twice."""
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        edged = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        pixels = np.asarray(edged, dtype=np.uint8)
    size = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _resized(pixels: Plane, size: tuple[int, int]) -> Pixels:
    """A plane, or Y, U and V interleaved, in another size. The luma, which decides, is averaged from four samples a
    pixel, which comes close to area averaging at a fifth of its cost."""
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    if pixels.ndim == 3:
        cv2.insertChannel(_averaged(cv2.extractChannel(pixels, 0), size), small, 0)
    return small


def _averaged(plane: cv2.typing.MatLike, size: tuple[int, int]) -> Pixels:
    twice = cv2.resize(plane, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(twice, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _maps(boxes: Boxes, side: int, share: float) -> tuple[Tensor, Tensor]:
    """Where each pixel of the crops looks in a picture of `share` of the full size: (n * side, side) for x and y."""
    zoom = (boxes[:, 2:] - boxes[:, :2]) * (share / side)
    # Pixel i covers i .. i+1: its centre lies half a pixel further, in either picture.
    corner = boxes[:, :2] * share - 0.5
    at = corner[:, :, None] + zoom[:, :, None] * (np.arange(side) + 0.5)
    shape = (len(boxes), side, side)
    x = np.broadcast_to(at[:, 0, None, :], shape)
    y = np.broadcast_to(at[:, 1, :, None], shape)
    return x.reshape(-1, side).astype(np.float32), y.reshape(-1, side).astype(np.float32)


def _remapped(pixels: Plane, maps: tuple[Tensor, Tensor], black: tuple[float, ...]) -> Pixels:
    mapped = cv2.remap(pixels, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=black)
    return np.asarray(mapped, dtype=np.uint8)
