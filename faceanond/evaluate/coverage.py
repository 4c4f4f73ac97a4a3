"""What was really hidden in one picture: what lies in a reported region and is not as it was before.

Both are asked for. A region alone is only a claim, and a changed pixel alone may be a letter of the legend. Works on
blocks of 2x2 pixels, on which luma and chroma agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.anonymise.planes import Planes
from faceanond.anonymise.shapes import BLOCK, Mask
from faceanond.frames import Box

PINHOLE = 5
"""Blocks across of the closing: in a flat patch single blocks equal their mosaic cell by chance, and are hidden in the
midst of what is. A larger one would bridge what was left open."""
CONCEALED = 0.5
"""Share of a picture's textured blocks that must have changed before "concealed as a whole" is believed."""


SHOWS_THROUGH = 0.9
"""Correlation of a face's fine detail before and after from which it is still there, however many pixels differ: a mask
that only shifts the brightness gives 1, the mildest mosaic about 0.5."""
_DETAIL = 8.0
"""Sides of a face to one standard deviation of the blur that is taken off to get its detail."""
_FLAT = 1.5
"""Standard deviation of the detail, in grey values, below which there is nothing to recognise."""


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """The hidden blocks (rows, columns) of a picture of that size in pixels, which may be odd."""

    hidden: Mask
    width: int
    height: int

    def share(self, box: Box) -> float:
        """How much of the box's part inside the picture is hidden, 0 to 1. To a fraction of a block."""
        box = box.clipped(self.width, self.height)
        if box.width <= 0 or box.height <= 0:
            return 0.0
        rows, down = _weights(box.y1, box.y2)
        columns, across = _weights(box.x1, box.x2)
        return float(down @ self.hidden[rows, columns] @ across) / (box.width * box.height)

    def area(self, among: Mask | None = None) -> int:
        """Hidden pixels, in all or among those blocks."""
        hidden = self.hidden if among is None else self.hidden & among
        # In a picture of odd size the last column and row of blocks hold only half as many pixels.
        total = BLOCK * BLOCK * int(np.count_nonzero(hidden))
        if self.width % BLOCK:
            total -= BLOCK * int(np.count_nonzero(hidden[:, -1]))
        if self.height % BLOCK:
            total -= BLOCK * int(np.count_nonzero(hidden[-1]))
            total += int(self.width % BLOCK and hidden[-1, -1])
        return total

    def blocks(self, boxes: Iterable[Box]) -> Mask:
        """Every block that one of the boxes touches."""
        touched: Mask = np.zeros(self.hidden.shape, np.bool_)
        for box in boxes:
            left, top, right, bottom = box.clipped(self.width, self.height).rounded_out()
            if left < right and top < bottom:
                touched[top // BLOCK : -(-bottom // BLOCK), left // BLOCK : -(-right // BLOCK)] = True
        return touched


def coverage(before: Planes, after: NDArray[np.uint8], regions: Iterable[Box], size: tuple[int, int]) -> Coverage:
    """What is hidden in `after`, an I420 picture, of the picture `before`. `size` is the input's (width, height)."""
    claimed = Coverage(np.zeros((before.height // BLOCK, before.width // BLOCK), np.bool_), *size).blocks(regions)
    if not claimed.any():
        return Coverage(claimed, *size)
    changed = changed_blocks(before, after) & claimed
    closed = cv2.morphologyEx(changed.view(np.uint8), cv2.MORPH_CLOSE, np.ones((PINHOLE, PINHOLE), np.uint8))
    return Coverage((closed > 0) & claimed, *size)


def changed_blocks(before: Planes, after: NDArray[np.uint8]) -> Mask:
    """The blocks in which luma or chroma differ."""
    luma = before.y != after[: before.height]
    pairs = luma[::2] | luma[1::2]
    u, v = after[before.height :].reshape(2, before.height // BLOCK, before.width // BLOCK)
    changed: Mask = pairs[:, ::2] | pairs[:, 1::2] | (before.u != u) | (before.v != v)
    return changed


def concealed(before: Planes, after: NDArray[np.uint8]) -> bool:
    """Whether a picture that is said to be hidden as a whole is. What is flat everywhere shows nobody in any case."""
    y = before.y
    textured = (y[::2, ::2] != y[1::2, 1::2]) | (y[1::2, ::2] != y[::2, 1::2])
    seen = int(np.count_nonzero(textured))
    return int(np.count_nonzero(textured & changed_blocks(before, after))) >= CONCEALED * seen


def _weights(start: float, end: float) -> tuple[slice, NDArray[np.float64]]:
    """The blocks that an interval touches, and how many pixels of each it takes."""
    first, last = int(start // BLOCK), int(-(-end // BLOCK))
    edges = np.clip(np.arange(first, last + 1, dtype=np.float64) * BLOCK, start, end)
    return slice(first, last), np.diff(edges)


def shows_through(before: Planes, after: NDArray[np.uint8], box: Box) -> bool:
    """Whether a face's detail can be seen in the picture that came out, though its pixels differ.

    `after` is I420 of the same size.
    """
    left, top, right, bottom = box.clipped(before.width, before.height).rounded_out()
    if right - left < 4 or bottom - top < 4:
        return False
    sigma = max(1.0, max(box.width, box.height) / _DETAIL)
    details = []
    for luma in (before.y, after[: before.height]):
        crop = np.asarray(luma[top:bottom, left:right], np.float32)
        detail = crop - cv2.GaussianBlur(crop, (0, 0), sigma)
        details.append(detail - detail.mean())
    spreads = [float(np.sqrt((detail * detail).mean())) for detail in details]
    if min(spreads) < _FLAT:
        return False
    return float((details[0] * details[1]).mean()) / (spreads[0] * spreads[1]) > SHOWS_THROUGH
