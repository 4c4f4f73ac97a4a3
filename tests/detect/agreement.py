"""What other MTCNNs found on real pictures (reference_boxes.json), and how far two sets of boxes agree."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

REFERENCES = ("facenet-pytorch", "mtcnn")

Corners = tuple[float, ...]
"""x1, y1, x2, y2."""


@cache
def reference() -> dict[str, dict[str, list[list[float]]]]:
    """By picture and detector: boxes with scores."""
    file = Path(__file__).with_name("reference_boxes.json")
    pictures: dict[str, dict[str, list[list[float]]]] = json.loads(file.read_text(encoding="utf-8"))["pictures"]
    return pictures


def overlap(a: Corners, b: Corners) -> float:
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def found(wanted: list[Corners], among: list[Corners]) -> int:
    """How many have a partner of their own."""
    left = list(among)
    count = 0
    for box in wanted:
        best = max(left, key=lambda other: overlap(box, other), default=None)
        if best is not None and overlap(box, best) >= 0.5:
            left.remove(best)
            count += 1
    return count
