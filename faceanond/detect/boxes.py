"""Arithmetic on boxes as arrays of (x1, y1, x2, y2) rows in float64; x2 and y2 are exclusive. Pure.

The steps and their thresholds are those of Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded
Convolutional Networks" (2016), with the details of the implementations that followed it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

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
    if len(boxes) < 2:
        return np.arange(len(boxes))
    corners = boxes.copy()
    corners[:, 2:] -= corners[:, :2]  # OpenCV wants x, y, width, height
    positive = scores - scores.min() + 1  # it wants that too; only their order matters
    if groups is None:
        kept = cv2.dnn.NMSBoxes(corners, positive, 0.0, limit)  # type: ignore[arg-type] # arrays are welcome
    else:
        kept = cv2.dnn.NMSBoxesBatched(corners, positive, groups, 0.0, limit)  # type: ignore[arg-type]
    return np.asarray(kept, dtype=np.intp).reshape(-1)


def suppressed_by_smaller(boxes: Boxes, scores: NDArray[np.floating], limit: float) -> Indices:
    """The same, measuring the overlap against the smaller of the two boxes: a face inside a face goes."""
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        width = np.minimum(boxes[rest, 2], boxes[best, 2]) - np.maximum(boxes[rest, 0], boxes[best, 0])
        height = np.minimum(boxes[rest, 3], boxes[best, 3]) - np.maximum(boxes[rest, 1], boxes[best, 1])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        order = rest[shared <= limit * np.minimum(areas[rest], areas[best])]
    return np.asarray(kept, dtype=np.intp)
