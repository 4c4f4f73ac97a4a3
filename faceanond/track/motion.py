"""What happened to the whole picture between two frames: a cut to another scene, or a movement of the camera.

Both are read off thumbnails of the luma, at about 0.4 ms a frame. A wrong answer is harmless: after a supposed cut
tracks end sooner unless their faces are found again, and a supposed movement only shifts where they are looked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.frames import Plane, RawFrame

WIDTH = 96
"""Pixels across a thumbnail: a face of 40 in 1280 is still 3."""
CUT_LIKENESS = 0.4
"""Correlation of two thumbnails below which another scene is shown, if no movement explains it. That tells just the
three cuts in 3039 frames of the clips, and takes 5 of 7215 frames of the hard versions for one more."""
CUT_DIFFERENCE = 12.0
"""Mean difference in grey values that a cut has at least: two nearly black pictures do not correlate either."""
_FARTHEST = 0.25
"""Of the picture: how far it can move between two frames."""
_LEAST = 0.05
"""Pixels of a thumbnail: less is no movement."""
_BETTER = 0.75
"""Share of the difference that a movement must leave at most to be believed."""

Thumbnail = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Motion:
    """From the frame before: `cut` when nothing is left of it, else how far the picture moved, in pixels."""

    cut: bool = False
    dx: float = 0.0
    dy: float = 0.0


class MotionMeter:
    """Compares each frame with the one before. Used by one thread at a time."""

    def __init__(self) -> None:
        self._before: Thumbnail | None = None
        self._window: Thumbnail | None = None

    def measure(self, frame: RawFrame) -> Motion:
        """The motion since the last call. A first frame, and one of another size, has none."""
        now = thumbnail(frame.y)
        before, self._before = self._before, now
        if before is None or before.shape != now.shape:
            return Motion()
        difference = float(cv2.absdiff(before, now).mean())
        if difference < 1.0:
            return Motion()
        if self._window is None or self._window.shape != now.shape:
            self._window = np.asarray(cv2.createHanningWindow((now.shape[1], now.shape[0]), cv2.CV_32F), np.float32)
        # OpenCV lays the window over its inputs themselves when their size suits it, as 96x54 does: it gets copies.
        (dx, dy), _ = cv2.phaseCorrelate(before.copy(), now.copy(), self._window)
        near = abs(dx) <= now.shape[1] * _FARTHEST and abs(dy) <= now.shape[0] * _FARTHEST
        moved = _moved(before, dx, dy) if near and max(abs(dx), abs(dy)) >= _LEAST else before
        alike = likeness(moved, now)
        if difference > CUT_DIFFERENCE and alike < CUT_LIKENESS:
            return Motion(cut=True)
        if moved is before or float(cv2.absdiff(moved, now).mean()) > _BETTER * difference:
            return Motion()
        scale = frame.width / now.shape[1]
        return Motion(dx=dx * scale, dy=dy * scale)


def thumbnail(luma: Plane) -> Thumbnail:
    """The luma, small."""
    height, width = luma.shape
    step = max(1, width // (3 * WIDTH))
    small = cv2.resize(
        np.ascontiguousarray(luma[::step, ::step]),
        (WIDTH, max(8, round(WIDTH * height / width))),
        interpolation=cv2.INTER_AREA,
    )
    return np.asarray(small, np.float32)


def likeness(one: Thumbnail, other: Thumbnail) -> float:
    """Pearson's correlation; 1 for two pictures of one colour each."""
    a, b = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / spread if spread > 1.0 else 1.0


def _moved(picture: Thumbnail, dx: float, dy: float) -> Thumbnail:
    """The picture moved by so many pixels; its edge goes on where it uncovers something."""
    matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])
    size = picture.shape[1], picture.shape[0]
    return np.asarray(cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.float32)
