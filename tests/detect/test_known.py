from __future__ import annotations

from itertools import combinations

import pytest

from faceanond.detect.known import OPTIONS, SIZE, KnownFace, known_faces
from faceanond.detect.protocol import Detector, DetectRequest
from faceanond.frames import Box

VARIANTS = range(len(known_faces()))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (one.width * one.height + other.width * other.height - shared)


def test_each_variant_lies_inside_its_small_picture() -> None:
    for known in known_faces():
        assert known.frame.size == (SIZE, SIZE)
        assert known.box.clipped(SIZE, SIZE) == known.box


def test_no_variants_face_touches_anothers() -> None:
    for one, other in combinations(known_faces(), 2):
        assert overlap(one.box, other.box) == 0
        assert one.frame.id != other.frame.id


def test_nobody_can_write_into_the_shared_pictures() -> None:
    for known in known_faces():
        assert not any(plane.flags.writeable for plane in (known.frame.y, known.frame.u, known.frame.v))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("company", [False, True], ids=["alone", "among the others"])
def test_the_real_detector_finds_every_variant_with_room_to_spare(
    detector: Detector, variant: int, company: bool
) -> None:
    asked: list[KnownFace] = list(known_faces()) if company else [known_faces()[variant]]
    answers = detector.detect([DetectRequest(known.frame, OPTIONS) for known in asked])
    for known, faces in zip(asked, answers, strict=True):
        (face,) = faces
        assert face.score > 0.99
        assert overlap(face.box, known.box) > 0.6
