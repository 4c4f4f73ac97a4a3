"""Arithmetic on boxes as arrays of (x1, y1, x2, y2) rows in float64; x2 and y2 are exclusive. Pure.

The steps and their thresholds are those of Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded
Convolutional Networks" (2016), with the details of the implementations that followed it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceanond.detect import native

Boxes = NDArray[np.float64]
Scores = NDArray[np.float64]
Indices = NDArray[np.intp]

CELL, STRIDE = 12, 2
"""A P-Net cell looks at 12x12 pixels of its level; neighbours are 2 pixels apart."""


def cell_boxes(cells: NDArray[np.integer], scales: NDArray[np.float64]) -> Boxes:
    """The input's pixels that P-Net cells (column, row) look at, each on a level of its scale, in the rounding that the
    corrections were trained with."""
    corners = (STRIDE * cells[:, [0, 1, 0, 1]] + np.array([1, 1, CELL, CELL])) / scales[:, None]
    return np.asarray(np.floor(corners) - np.array([1, 1, 0, 0]))


def corrected(boxes: Boxes, corrections: NDArray[np.floating]) -> Boxes:
    """The boxes with each side moved by its correction, given in box widths and heights."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return boxes + corrections * np.stack([width, height, width, height], axis=1)


def squared(boxes: Boxes) -> Boxes:
    """The smallest squares with the same centres that hold the boxes."""
    centre_x, centre_y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    return np.stack([centre_x - half, centre_y - half, centre_x + half, centre_y + half], axis=1)


def touching(boxes: Boxes, width: int, height: int) -> NDArray[np.bool_]:
    """Which boxes are at least a pixel large and share a pixel with a picture of that size."""
    large = (boxes[:, 2] - boxes[:, 0] >= 1) & (boxes[:, 3] - boxes[:, 1] >= 1)
    inside = (boxes[:, 0] < width) & (boxes[:, 1] < height) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
    return np.asarray(large & inside)


def suppressed(
    boxes: Boxes, scores: NDArray[np.floating], limit: float, groups: NDArray[np.integer] | None = None
) -> Indices:
    """Non-maximum suppression: the rows that stay, best first; one goes when its intersection over union with a
    better one (of the same group, if there are groups) exceeds the limit."""
    return _suppressed(boxes, scores, limit, groups, smaller=False)


def suppressed_by_smaller(boxes: Boxes, scores: NDArray[np.floating], limit: float) -> Indices:
    """The same, measuring the overlap against the smaller of the two boxes: a face inside a face goes."""
    return _suppressed(boxes, scores, limit, None, smaller=True)


def _suppressed(
    boxes: Boxes, scores: NDArray[np.floating], limit: float, groups: NDArray[np.integer] | None, *, smaller: bool
) -> Indices:
    order = np.argsort(-scores, kind="stable")
    if len(order) < 2:
        return order
    if native.missing() is None:
        of = None if groups is None else groups[order]
        return order[native.unsuppressed(boxes[order], of, limit, smaller=smaller)]
    return plainly_suppressed(boxes, order, limit, groups, smaller=smaller)


def plainly_suppressed(
    boxes: Boxes, order: Indices, limit: float, groups: NDArray[np.integer] | None = None, *, smaller: bool = False
) -> Indices:
    """The rows that stay, in `order`, which names the best first: what the compiled kernels do, with numpy alone."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        width = np.minimum(boxes[rest, 2], boxes[best, 2]) - np.maximum(boxes[rest, 0], boxes[best, 0])
        height = np.minimum(boxes[rest, 3], boxes[best, 3]) - np.maximum(boxes[rest, 1], boxes[best, 1])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        whole = np.minimum(areas[rest], areas[best]) if smaller else areas[rest] + areas[best] - shared
        goes = shared > limit * whole
        if groups is not None:
            goes &= groups[rest] == groups[best]
        order = rest[~goes]
    return np.asarray(kept, dtype=np.intp)
