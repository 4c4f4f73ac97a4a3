"""What is hidden in one frame: the only place that decides it. Pure functions of the frame's facts.

The rule: hide what was found, wide enough; hide everything when in doubt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from faceanond.anonymise.shapes import Stencil, box_stencil, ellipse_stencil
from faceanond.frames import Box, Detections, Face, FrameId

Shape = Literal["ellipse", "box"]

SMALLEST_SIDE = 12.0
"""Pixels: a box with a shorter side is widened to it. MTCNN knows no smaller face, so a smaller box is a rounding of
one; a box without area still says that a face is there."""
LARGEST_SHARE = 4.0
"""Longer sides of the picture: a box that reaches further than so many from the origin is no measurement."""
SCORE_SLACK = 1e-3
"""A score may miss 0 or 1 by rounding; anything beyond is no score."""
MOST_FACES = 500
"""More in one picture are not believed; it also bounds the time that a frame can take."""
ELLIPSE_SHARE = math.sqrt(2.0)
"""An ellipse of this many times the box's size runs through the box's corners."""


class Doubt(StrEnum):
    """Why a whole picture is hidden although the detector answered: metric labels. A frame's own `suspect` joins."""

    WRONG_FRAME = "wrong_frame"
    BAD_BOXES = "bad_boxes"
    TOO_MANY_FACES = "too_many_faces"
    EFFECT_FAILED = "effect_failed"
    ZONE_OUTSIDE = "zone_outside"


@dataclass(frozen=True, slots=True)
class Target:
    """A face to hide: `reach` is the box within which it is hidden, `side` the longer side of the face itself (the
    strength follows the face, not the margin), both in pixels."""

    reach: Box
    side: float
    score: float


def doubt(frame: FrameId, suspect: str | None, size: tuple[int, int], detections: Detections) -> str | None:
    """Why the detections cannot be trusted for that frame, or None. `size` is (width, height) of the picture."""
    if suspect is not None:
        return suspect
    if detections.frame != frame:
        return Doubt.WRONG_FRAME
    if len(detections.faces) > MOST_FACES:
        return Doubt.TOO_MANY_FACES
    if not all(_plausible(face, size) for face in detections.faces):
        return Doubt.BAD_BOXES
    return None


def target(face: Face, *, margin: float, shape: Shape) -> Target:
    """How far a face is hidden: its box grown by `margin` of its size on each side.

    An ellipse is inscribed in that, but never smaller than the one through the corners of the face's own box: the box
    itself is covered whole, whatever the margin. The two meet at a margin of about 0.21.
    """
    tight = _widened(face.box)
    share = 1.0 + 2.0 * margin
    if shape == "ellipse":
        share = max(share, ELLIPSE_SHARE)
    return Target(tight.grown((share - 1.0) / 2.0), max(tight.width, tight.height), face.score)


def stencil(reach: Box, shape: Shape, width: int, height: int) -> Stencil | None:
    """The blocks to cover in a picture of that (even) size; None when the face lies outside."""
    return (ellipse_stencil if shape == "ellipse" else box_stencil)(reach, width, height)


def zones_outside(zones: Sequence[Sequence[tuple[float, float]]], size: tuple[int, int]) -> tuple[int, ...]:
    """Numbers of the polygons that do not fit into a picture of that (width, height).

    They were drawn for a larger one (the camera sends another stream now), so what they hid is somewhere else.
    """
    return tuple(
        number
        for number, zone in enumerate(zones)
        if max(x for x, _ in zone) > size[0]
        or max(y for _, y in zone) > size[1]
        or max(x for x, _ in zone) <= 0
        or max(y for _, y in zone) <= 0
    )


def _plausible(face: Face, size: tuple[int, int]) -> bool:
    box, limit = face.box, LARGEST_SHARE * max(size)
    return (
        box.finite
        and -SCORE_SLACK <= face.score <= 1.0 + SCORE_SLACK  # False for NaN, too
        and box.x1 <= box.x2
        and box.y1 <= box.y2
        and -limit <= min(box.x1, box.y1)
        and max(box.x2, box.y2) <= limit
    )


def _widened(box: Box) -> Box:
    dx = max(0.0, SMALLEST_SIDE - box.width) / 2
    dy = max(0.0, SMALLEST_SIDE - box.height) / 2
    return Box(box.x1 - dx, box.y1 - dy, box.x2 + dx, box.y2 + dy)
