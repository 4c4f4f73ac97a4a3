"""Draws one actor: the packaged face, placed, turned, blurred and dimmed as a pose says, with exact truth about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.assets import astronaut
from faceanond.capture.demo_scene import FACE, FACE_HEIGHT, OUTLINE

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
MIDDLE = ((FACE[0] + FACE[2]) / 2, (FACE[1] + FACE[3]) / 2)
PICTURE = astronaut()
"""Read here, because no file may be read while a loop runs."""
SIDE = PICTURE.shape[0]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a face is in one frame: its middle and height in pixels, `roll` in degrees clockwise.

    `blur` is the way in pixels (right, down) that it goes while the shutter is open. `mirrored` tells two people apart.
    """

    x: float
    y: float
    height: float = 80.0
    roll: float = 0.0
    blur: tuple[float, float] = (0.0, 0.0)
    mirrored: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """An actor in a picture's size: colours, opacity 0..1, and which pixels are the face (forehead to chin).

    `area` is the face's whole size in pixels, also outside of the picture.
    """

    colours: NDArray[np.float32]
    opacity: NDArray[np.float32]
    face: Mask
    area: float

    def over(self, canvas: NDArray[np.float32]) -> NDArray[np.float32]:
        """The canvas with the actor in front."""
        return canvas * (1 - self.opacity[..., None]) + self.colours


@lru_cache(maxsize=64)
def _cut_out(height: int, mirrored: bool) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Colours times opacity, opacity, and the scale, for a face of that height."""
    picture = PICTURE.astype(np.float32)
    outline = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(outline, [np.array(OUTLINE, np.int32)], 255, lineType=cv2.LINE_AA)
    opacity = cv2.GaussianBlur(cv2.erode(outline, np.ones((3, 3), np.uint8)), (0, 0), 1.6).astype(np.float32) / 255
    if mirrored:
        picture, opacity = picture[:, ::-1], opacity[:, ::-1]
    scale = height / FACE_HEIGHT
    size = (round(SIDE * scale), round(SIDE * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    premultiplied = np.ascontiguousarray(picture * opacity[..., None])
    return (
        np.asarray(cv2.resize(premultiplied, size, interpolation=how), np.float32),
        np.asarray(cv2.resize(np.ascontiguousarray(opacity), size, interpolation=how), np.float32),
        size[0] / SIDE,
    )


def figure(pose: Pose, width: int, height: int) -> Figure:
    """The actor as it stands in a picture of that size."""
    colours, opacity, scale = _cut_out(round(pose.height), pose.mirrored)
    middle = ((SIDE - MIDDLE[0] if pose.mirrored else MIDDLE[0]) * scale, MIDDLE[1] * scale)
    placed = cv2.getRotationMatrix2D(middle, -pose.roll, 1.0)
    placed[:, 2] += (pose.x - middle[0], pose.y - middle[1])
    there = cv2.warpAffine(colours, placed, (width, height))
    solid = cv2.warpAffine(opacity, placed, (width, height))
    if pose.blur != (0.0, 0.0):
        kernel = _smear(pose.blur)
        there, solid = cv2.filter2D(there, -1, kernel), cv2.filter2D(solid, -1, kernel)
    axes = ((FACE[2] - FACE[0]) * scale / 2, (FACE[3] - FACE[1]) * scale / 2)
    return Figure(
        np.asarray(there, np.float32),
        np.clip(np.asarray(solid, np.float32), 0, 1),
        _ellipse(pose, axes, width, height),
        float(np.pi * axes[0] * axes[1]),
    )


def _ellipse(pose: Pose, axes: tuple[float, float], width: int, height: int) -> Mask:
    """Pixels whose centre lies in the ellipse: a face has no corners."""
    right, down = np.arange(width) + 0.5 - pose.x, np.arange(height)[:, None] + 0.5 - pose.y
    cosine, sine = np.cos(np.radians(pose.roll)), np.sin(np.radians(pose.roll))
    across, along = right * cosine + down * sine, down * cosine - right * sine
    return np.asarray((across / axes[0]) ** 2 + (along / axes[1]) ** 2 <= 1.0)


def _smear(way: tuple[float, float]) -> NDArray[np.float32]:
    """A line of that length and direction, as a filter that keeps the brightness."""
    reach = int(np.ceil(max(abs(way[0]), abs(way[1])) / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for share in np.linspace(-0.5, 0.5, 8 * reach + 1):
        kernel[round(reach + way[1] * share), round(reach + way[0] * share)] += 1
    return kernel / kernel.sum()
