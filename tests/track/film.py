"""A tracker in front of a film: what the detector says of each frame is up to the test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import cv2
import numpy as np

from faceanond.frames import Box, ColourMatrix, Detections, Expected, Face, FrameId, Plane, RawFrame
from faceanond.track.tracker import Tracked, Tracker

FPS = 25.0
SIZE = (640, 360)
SIDE = 40.0
SURE = 0.99

Answering = Callable[[tuple[Expected, ...]], Iterable[Face]]
"""A detector: what it finds when it is told what is expected."""


@cache
def picture(scene: int | None, size: tuple[int, int]) -> Plane:
    """Luma of a scene, with coarse and fine structure; None: a grey wall."""
    width, height = size
    if scene is None:
        return np.full((height, width), 128, np.uint8)
    random = np.random.default_rng(scene)
    layers = [
        cv2.resize(random.uniform(-1, 1, (rows, 2 * rows)), size, interpolation=cv2.INTER_CUBIC) for rows in (4, 12, 24)
    ]
    mixed = 128 + 60 * layers[0] + 40 * layers[1] + 25 * layers[2]
    return np.asarray(np.clip(mixed, 16, 235), np.uint8)


def frame_of(luma: Plane, index: int = 0, *, pts: float = 0.0, generation: int = 1) -> RawFrame:
    height, width = luma.shape
    chroma = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    return RawFrame(
        FrameId("lobby", generation, index), luma, chroma, chroma, False, ColourMatrix.BT601, 1000.0 + pts, pts
    )


def around(x: float, y: float, side: float = SIDE) -> Box:
    return Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def face(x: float, y: float, side: float = SIDE, score: float = SURE) -> Face:
    """One of which the detector is sure."""
    return Face(around(x, y, side), score)


def hint(x: float, y: float, side: float = SIDE, score: float = 0.6) -> Face:
    """One of which it is not."""
    return Face(around(x, y, side), score, sure=False)


def contains(outer: Box, inner: Box) -> bool:
    slack = 1e-6
    return (
        outer.x1 <= inner.x1 + slack
        and outer.y1 <= inner.y1 + slack
        and outer.x2 >= inner.x2 - slack
        and outer.y2 >= inner.y2 - slack
    )


def covers(faces: Iterable[Face], x: float, y: float) -> bool:
    """Whether that point is hidden."""
    return any(one.box.x1 <= x <= one.box.x2 and one.box.y1 <= y <= one.box.y2 for one in faces)


class Film:
    """Shows a tracker one frame after the other."""

    def __init__(self, *, hold: float = 1.0, fps: float = FPS, size: tuple[int, int] = SIZE) -> None:
        self.tracker = Tracker(hold=hold)
        self.step = 1 / fps
        self.size = size
        self.scene: int | None = None
        self.generation = 1
        self.pts = 0.0
        self.frame = frame_of(picture(None, size))
        self.expected: tuple[Expected, ...] = ()
        self._index = 0

    def next(self, *, after: float | None = None) -> RawFrame:
        """The next frame, so many seconds later."""
        self.pts += self.step if after is None else after
        self._index += 1
        self.frame = frame_of(picture(self.scene, self.size), self._index, pts=self.pts, generation=self.generation)
        return self.frame

    def ask(self, answering: Answering, *, after: float | None = None) -> Tracked:
        frame = self.next(after=after)
        self.expected = self.tracker.expect(frame)
        return self.tracker.update(frame, Detections(frame.id, tuple(answering(self.expected))))

    def show(self, *faces: Face, after: float | None = None) -> tuple[Face, ...]:
        """What is covered in the next frame, of which the detector says just this."""
        return self.ask(lambda expected: faces, after=after).detections.faces

    def establish(self, *faces: Face, frames: int = 10) -> tuple[Face, ...]:
        """The same for a while."""
        for _ in range(frames):
            covered = self.show(*faces)
        return covered

    def life(self, answering: Answering, most: float) -> tuple[float, list[Face]]:
        """Seconds until nothing is covered any more, and what was covered. Fails when that takes longer than `most`."""
        start, last, seen = self.pts, self.pts, []
        while self.pts - start <= most:
            covered = self.ask(answering).detections.faces
            if not covered and not self.tracker.expect(self.frame):
                return last - start, seen
            last = self.pts
            seen.extend(covered)
        raise AssertionError(f"still covered after {most} s, at {seen[-1].box}")


def nothing(expected: tuple[Expected, ...]) -> tuple[Face, ...]:
    return ()
