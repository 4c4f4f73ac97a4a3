"""Which pixels a shape covers, in blocks of 2x2 pixels: the grid on which luma and chroma agree.

A block is covered as soon as the shape touches it. So a pixel of the shape is never left open, not even in chroma,
whose one sample stands for the whole block.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.frames import Box, Plane

BLOCK = 2
"""Pixels per block and axis: the subsampling of 4:2:0."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Stencil:
    """Covered blocks: `mask` (rows, columns) lies with its first block at (`left`, `top`), counted in blocks."""

    left: int
    top: int
    mask: Mask

    @property
    def right(self) -> int:
        return self.left + int(self.mask.shape[1])

    @property
    def bottom(self) -> int:
        return self.top + int(self.mask.shape[0])

    @property
    def within(self) -> tuple[slice, slice]:
        """Its place in a map of the whole picture's blocks."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def bounds(self, width: int, height: int) -> Box:
        """What it covers of a picture of that size in pixels (which may be odd)."""
        box = Box(self.left * BLOCK, self.top * BLOCK, self.right * BLOCK, self.bottom * BLOCK)
        return box.clipped(width, height)


def box_stencil(box: Box, width: int, height: int) -> Stencil | None:
    """Every block that the box touches in a picture of that (even) size in pixels; None when it touches none."""
    left, right = _span(box.x1, box.x2, width // BLOCK)
    top, bottom = _span(box.y1, box.y2, height // BLOCK)
    if left >= right or top >= bottom:
        return None
    return Stencil(left, top, np.ones((bottom - top, right - left), np.bool_))


def ellipse_stencil(box: Box, width: int, height: int) -> Stencil | None:
    """Every block that the ellipse inscribed in the box touches; None when there is none in the picture.

    In each row of blocks the ellipse is widest at the row's line that is nearest to the centre: that width counts.
    """
    top, bottom = _span(box.y1, box.y2, height // BLOCK)
    if top >= bottom or box.width <= 0 or box.height <= 0:
        return None
    centre_x, centre_y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    rows = np.arange(top, bottom, dtype=np.float64) * BLOCK
    away = np.maximum(0.0, np.maximum(rows - centre_y, centre_y - (rows + BLOCK))) / (box.height / 2)
    reach = box.width / 2 * np.sqrt(np.maximum(0.0, 1.0 - away * away))
    columns = width // BLOCK
    first = np.clip(np.floor((centre_x - reach) / BLOCK), 0, columns).astype(np.int16)
    last = np.clip(np.ceil((centre_x + reach) / BLOCK), 0, columns).astype(np.int16)
    left, right = int(first.min()), int(last.max())
    if left >= right:
        return None
    across = np.arange(left, right, dtype=np.int16)
    return Stencil(left, top, (across >= first[:, None]) & (across < last[:, None]))


def polygons_stencil(polygons: Sequence[Sequence[tuple[float, float]]], width: int, height: int) -> Stencil | None:
    """Every block that one of the polygons touches, and a ring of one block around; None when that is nothing.

    A pixel is inside when the polygon winds around its centre (non-zero rule), so an outline that crosses itself
    leaves no hole. The ring makes up for what lies between the centres; only a sliver thinner than a pixel can be
    missed.
    """
    inside = np.zeros((height, width), np.bool_)
    for polygon in polygons:
        inside |= _winding(polygon, width, height) != 0
    blocks: Plane = inside.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).max(axis=(1, 3)).view(np.uint8)
    grown = cv2.dilate(blocks, np.ones((3, 3), np.uint8)) > 0
    rows, columns = np.flatnonzero(grown.any(axis=1)), np.flatnonzero(grown.any(axis=0))
    if not rows.size:
        return None
    left, top = int(columns[0]), int(rows[0])
    return Stencil(left, top, grown[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1].copy())


def _span(start: float, end: float, blocks: int) -> tuple[int, int]:
    """The first block touched and the one behind the last, within the picture."""
    first = min(max(start / BLOCK, 0.0), float(blocks))
    last = min(max(end / BLOCK, 0.0), float(blocks))
    return math.floor(first), math.ceil(last)


def _winding(polygon: Sequence[tuple[float, float]], width: int, height: int) -> NDArray[np.int32]:
    """How often the polygon winds around each pixel's centre: every edge notes where it crosses a row, then the
    crossings to the left of a pixel are summed."""
    crossings = np.zeros((height, width + 1), np.int32)
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        top, bottom = min(y1, y2), max(y1, y2)
        first = min(max(math.ceil(max(top, -1.0) - 0.5), 0), height)
        last = min(max(math.ceil(min(bottom, height + 1.0) - 0.5), 0), height)
        if first >= last:
            continue
        rows = np.arange(first, last)
        at = x1 + (rows + 0.5 - y1) * ((x2 - x1) / (y2 - y1))
        columns = np.ceil(np.clip(at, 0, width) - 0.5).astype(np.intp)
        crossings[rows, np.clip(columns, 0, width)] += 1 if y2 > y1 else -1
    return np.cumsum(crossings, axis=1, dtype=np.int32)[:, :width]
