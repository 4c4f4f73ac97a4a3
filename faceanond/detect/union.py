"""Several detectors as one: a face counts that any of them finds.

Rule: the union covers at least what each member alone would. So a failure of one is a failure of all (its faces would
be missing), and two boxes that are one face become the smallest box that holds both.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from faceanond.detect.protocol import Answer, Detector, DetectRequest
from faceanond.errors import DetectionError
from faceanond.frames import Box, Face
from faceanond.stats import SECONDS, Histogram, HistogramSnapshot

SAME = 0.4
"""Intersection over union from which two members' boxes are one face: on the real clips 99 % of the pairs that are
have 0.48 and more. Below it both boxes stay, which hides no less."""


class UnionDetector:
    """The `Detector` that asks its members one after the other; it closes them."""

    def __init__(self, members: Sequence[Detector]) -> None:
        """All members run on the same device."""
        self._members = tuple(members)
        self.name = "+".join(member.name for member in self._members)
        self.provider = self._members[0].provider
        self._seconds = Histogram(*SECONDS)

    def warm_up(self) -> None:
        """Warms every member."""
        for member in self._members:
            member.warm_up()

    def detect(self, requests: Sequence[DetectRequest]) -> list[Answer]:
        """See `Detector.detect`. Raises what any member raises, and refuses the frames that any refuses: no answer is
        better than some of the faces."""
        start = time.perf_counter()
        answers = [self._asked(member, requests) for member in self._members]
        faces = [_together(of_frame) for of_frame in zip(*answers, strict=True)]
        self._seconds.observe(time.perf_counter() - start)
        return faces

    def stage_seconds(self) -> Mapping[str, HistogramSnapshot]:
        """The members' stages, each member's total under its own name, and the total of all."""
        stages: dict[str, HistogramSnapshot] = {}
        for member in self._members:
            own = dict(member.stage_seconds())
            stages |= {**own, member.name: own["total"]}
        return {**stages, "total": self._seconds.snapshot()}

    def close(self) -> None:
        """Closes every member, also when one fails at it."""
        with ExitStack() as stack:
            for member in self._members:
                stack.callback(member.close)

    @staticmethod
    def _asked(member: Detector, requests: Sequence[DetectRequest]) -> list[Answer]:
        answers = member.detect(requests)
        if len(answers) != len(requests):
            raise DetectionError("shape", f"{member.name} answered {len(answers)} of {len(requests)} frames")
        return answers


def _together(answers: Sequence[Answer]) -> Answer:
    faces = []
    for answer in answers:
        if isinstance(answer, DetectionError):
            return answer
        faces.append(answer)
    return merged(faces)


def merged(answers: Sequence[Sequence[Face]]) -> tuple[Face, ...]:
    """One frame's faces from every member's. Faces of one member are never merged with each other."""
    faces = list(answers[0])
    for more in answers[1:]:
        left = dict(enumerate(more))
        for mine, theirs in _pairs(faces, more):
            faces[mine] = _both(faces[mine], left.pop(theirs))
        faces.extend(left.values())
    return tuple(faces)


def _pairs(faces: Sequence[Face], more: Sequence[Face]) -> list[tuple[int, int]]:
    """Which are the same face, each in one pair at most, the closest first."""
    overlaps = _overlaps(_corners(faces), _corners(more))
    pairs: list[tuple[int, int]] = []
    while overlaps.size and (best := np.unravel_index(overlaps.argmax(), overlaps.shape)) and overlaps[best] >= SAME:
        mine, theirs = int(best[0]), int(best[1])
        pairs.append((mine, theirs))
        overlaps[mine], overlaps[:, theirs] = -1, -1
    return pairs


def _both(one: Face, other: Face) -> Face:
    box = Box(
        min(one.box.x1, other.box.x1),
        min(one.box.y1, other.box.y1),
        max(one.box.x2, other.box.x2),
        max(one.box.y2, other.box.y2),
    )
    return Face(box, max(one.score, other.score))


def _corners(faces: Sequence[Face]) -> NDArray[np.float64]:
    rows = [(face.box.x1, face.box.y1, face.box.x2, face.box.y2) for face in faces]
    return np.array(rows, np.float64).reshape(-1, 4)


def _overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of each row of a with each of b."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    areas = [np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
