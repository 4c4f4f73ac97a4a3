"""A scene with exact truth: actors on known paths before a textured wall, behind posts, with a number in each frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.frames import Box, ColourMatrix, FrameId, RawFrame
from tests.scenes import barcode
from tests.scenes.drawing import Mask, Pose, figure

WIDTH, HEIGHT = 400, 300
FPS = 25.0
START = 1000.0
"""On the fake clock, when the first frame is captured."""
CAMERA = "stage"

Path = Callable[[int], Pose | None]
"""Where an actor is in a frame; None while it is not there."""


@dataclass(frozen=True, slots=True, eq=False)
class TrueFace:
    """One face as it really is in one frame: the pixels of its box (within the picture) that show it, and how much of
    the whole face that is."""

    box: Box
    shown: Mask
    visible: float

    @property
    def place(self) -> tuple[slice, slice]:
        """The box in a plane of luma."""
        x1, y1, x2, y2 = self.box.rounded_out()
        return slice(y1, y2), slice(x1, x2)


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One frame: the picture that must not be seen, and where the faces are in it."""

    number: int
    frame: RawFrame
    faces: tuple[TrueFace, ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything about a scene is a function of the frame's number, so that it can be looked up again.

    Later actors stand in front of earlier ones, `posts` (left, right) in front of all. `wall` says which background is
    seen: another number is another place. `contrast` dims the whole picture but the number.
    """

    name: str
    actors: tuple[Path, ...]
    length: int = 40
    posts: tuple[tuple[int, int], ...] = ()
    wall: Callable[[int], int] = lambda number: 1
    contrast: Callable[[int], float] = lambda number: 1.0
    size: tuple[int, int] = (WIDTH, HEIGHT)
    _drawn: dict[int, Truth] = field(default_factory=dict, repr=False)

    def truth(self, number: int) -> Truth:
        """The frame with that number. Drawn once."""
        if number not in self._drawn:
            self._drawn[number] = self._draw(number)
        return self._drawn[number]

    def frames(self) -> list[RawFrame]:
        """The whole scene as a camera would give it."""
        return [self.truth(number).frame for number in range(self.length)]

    def _draw(self, number: int) -> Truth:
        width, height = self.size
        canvas = _wall(self.wall(number), width, height).astype(np.float32)
        hidden = np.zeros((height, width), bool)
        hidden[height - barcode.BAND :] = True
        for left, right in self.posts:
            hidden[:, left:right] = True
        figures = [figure(pose, width, height) for path in self.actors if (pose := path(number)) is not None]
        for actor in figures:
            canvas = actor.over(canvas)
        for left, right in self.posts:
            canvas[:, left:right] = _wall(99, width, height)[:, left:right] * 0.5
        faces = []
        for actor in reversed(figures):
            shown = actor.face & ~hidden
            if shown.any():
                box = _bounds(actor.face)
                x1, y1, x2, y2 = box.rounded_out()
                faces.append(TrueFace(box, shown[y1:y2, x1:x2].copy(), float(shown.sum() / actor.area)))
            hidden |= actor.opacity > 0.5
        canvas = 128 + (canvas - 128) * self.contrast(number)
        return Truth(number, _raw(canvas, number), tuple(faces))


def _raw(canvas: NDArray[np.float32], number: int) -> RawFrame:
    height, width = canvas.shape[:2]
    bgr = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    planes = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8).reshape(-1)
    luma, half = width * height, width * height // 4
    y, u, v = planes[:luma].reshape(height, width), planes[luma : luma + half], planes[luma + half :]
    u, v = u.reshape(height // 2, width // 2), v.reshape(height // 2, width // 2)
    y[-barcode.BAND :], v[-barcode.ROWS :] = 128, 128
    barcode.write(u, number)
    planes.flags.writeable = False
    at = number / FPS
    return RawFrame(FrameId(CAMERA, 1, number), y, u, v, False, ColourMatrix.BT601, START + at, at)


def _bounds(mask: Mask) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


@lru_cache(maxsize=16)
def _wall(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    """Texture of several sizes, so that no place of the picture is easy for the encoder or flat for the oracle."""
    random = np.random.default_rng(seed)
    wall = np.full((height, width, 3), random.uniform(110, 150, 3), np.float32)
    for cell, strength in ((60, 28.0), (14, 14.0), (3, 7.0)):
        grid = random.normal(0, strength, (height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        wall += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(wall, 0, 255).astype(np.uint8)
