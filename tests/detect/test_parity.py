"""Our boxes against those of an independent implementation, whose boxes were written down once (reference_boxes.json).

Both see the same pictures, but ours come as 4:2:0 planes and are resized another way, so borderline faces differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceanond.config.model import DetectOptions
from faceanond.detect.protocol import Detector, DetectRequest
from tests.frames_util import POSES, Rgb, posed, raw

REFERENCE: dict[str, list[list[float]]] = json.loads(
    (Path(__file__).parent / "reference_boxes.json").read_text(encoding="utf-8")
)["pictures"]

Corners = tuple[float, float, float, float]


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


def ours(detector: Detector, rgb: Rgb) -> list[Corners]:
    (faces,) = detector.detect([DetectRequest(raw(rgb), DetectOptions())])
    return [(face.box.x1, face.box.y1, face.box.x2, face.box.y2) for face in faces]


def theirs(name: str) -> list[Corners]:
    return [(box[0], box[1], box[2], box[3]) for box in REFERENCE[name]]


@pytest.mark.parametrize("name", POSES)
def test_the_packaged_face_is_found_where_the_reference_finds_it(detector: Detector, name: str) -> None:
    boxes, reference = ours(detector, posed(name)), theirs(name)
    # The picture holds one face. Where the edge cuts it in half, the reference finds none.
    assert len(reference) <= len(boxes) <= 1
    assert found(reference, boxes) == len(reference)


def clip_frames(folder: Path) -> Iterator[tuple[str, Rgb]]:
    wanted: dict[str, set[int]] = {}
    for name in REFERENCE:
        clip, _, index = name.partition(" #")
        if index:
            wanted.setdefault(clip, set()).add(int(index))
    for clip, indices in wanted.items():
        reader = cv2.VideoCapture(str(folder / clip))
        for index in range(max(indices) + 1):
            assert reader.grab(), f"{clip} ends before frame {index}"
            if index in indices:
                _, bgr = reader.retrieve()
                yield f"{clip} #{index}", np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)


def test_on_real_clips_each_finds_nearly_all_that_the_other_finds(detector: Detector, media: Path) -> None:
    own = their = own_found = their_found = 0
    for name, rgb in clip_frames(media / "clips"):
        boxes, reference = ours(detector, rgb), theirs(name)
        own, their = own + len(boxes), their + len(reference)
        own_found += found(boxes, reference)
        their_found += found(reference, boxes)
    assert their > 250
    assert own_found / own >= 0.95
    assert their_found / their >= 0.93
