"""A delay line: frames wait for `look_ahead`, and what is learnt meanwhile still covers faces in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from faceanond.frames import Box, Detections, Face, FrameId
from faceanond.track.track import MOST_GROWN
from faceanond.track.tracker import Back

MOST = 64
"""Frames that may wait, whatever their rate."""
_SPREAD = 1.2
"""Of its size a second: how fast a face may have moved before it was first found."""
_APART = 0.05
"""Of its size: how far a face may be from the line between two places where it was found."""

T = TypeVar("T")


@dataclass(slots=True)
class Waiting(Generic[T]):
    """A frame that waits: whatever the caller has with it, its time, and its faces (None: it is concealed anyway)."""

    item: T
    frame: FrameId
    pts: float
    faces: tuple[Face, ...] | None

    def detections(self) -> Detections | None:
        """Its faces as they are known now."""
        return None if self.faces is None else Detections(self.frame, self.faces)


class DelayLine(Generic[T]):
    """Frames in their order. Used by one thread at a time."""

    def __init__(self, look_ahead: float) -> None:
        """`look_ahead`: seconds of the source that a frame waits; 0 lets it go at once."""
        self._look_ahead = look_ahead
        self._waiting: deque[Waiting[T]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, waiting: Waiting[T], back: tuple[Back, ...] = ()) -> list[Waiting[T]]:
        """Takes the newest frame and what was learnt with it; gives the frames that have waited long enough."""
        for one in back:
            self._cover(one, waiting)
        self._waiting.append(waiting)
        due: list[Waiting[T]] = []
        while self._waiting and self._due(self._waiting[0], waiting):
            due.append(self._waiting.popleft())
        return due

    def flush(self) -> Iterator[Waiting[T]]:
        """Gives everything that waits."""
        while self._waiting:
            yield self._waiting.popleft()

    def _due(self, oldest: Waiting[T], newest: Waiting[T]) -> bool:
        other = oldest.frame.generation != newest.frame.generation
        return other or newest.pts - oldest.pts >= self._look_ahead - 1e-6 or len(self._waiting) > MOST

    def _cover(self, back: Back, newest: Waiting[T]) -> None:
        for waiting in self._waiting:
            if waiting.faces is None or waiting.pts <= back.since + 1e-6:
                continue
            if waiting.frame.generation != newest.frame.generation:
                continue
            box = _between(back, waiting.pts, newest.pts)
            others = tuple(face for face in waiting.faces if face.track != back.track)
            own = [face for face in waiting.faces if face.track == back.track]
            if own and not own[0].coasted:
                continue
            face = Face(box, 0.0, track=back.track, coasted=True)
            # What coasting has covered stays covered: a second opinion hides more, never less.
            waiting.faces = (*others, *own, face) if back.start is not None else (*others, face)


def _between(back: Back, then: float, now: float) -> Box:
    """Where the face was at that time."""
    end = back.end
    if back.start is None or now <= back.since:
        ago = now - then
        return end.moved(-back.vx * ago, -back.vy * ago).grown(min(_SPREAD * ago, MOST_GROWN))
    share = (then - back.since) / (now - back.since)
    start = back.start
    mixed = Box(
        start.x1 + share * (end.x1 - start.x1),
        start.y1 + share * (end.y1 - start.y1),
        start.x2 + share * (end.x2 - start.x2),
        start.y2 + share * (end.y2 - start.y2),
    )
    return mixed.grown(_APART)
