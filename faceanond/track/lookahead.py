"""A delay line: frames wait for `look_ahead`, and what is learnt meanwhile still covers faces in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from faceanond.frames import Box, Face, FrameId
from faceanond.track.track import MOST_GROWN
from faceanond.track.tracker import Back

_TREMBLE = 0.005
"""Seconds by which timestamps may be early without costing one more frame of delay."""
MOST = 160
"""Frames that may wait, whatever their rate: five seconds at 32 a second."""
_SPREAD = 0.5
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


class DelayLine(Generic[T]):
    """Frames in their order. Used by one thread at a time."""

    def __init__(self, look_ahead: float) -> None:
        """`look_ahead`: seconds of the source that a frame waits; 0 lets it go at once."""
        self._look_ahead = look_ahead
        self._waiting: deque[Waiting[T]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> Waiting[T]:
        """The first that will leave. Raises IndexError when none waits."""
        return self._waiting[0]

    def push(self, newest: Waiting[T], back: Sequence[Back] = ()) -> None:
        """Takes the newest frame and what was learnt with it of those that wait."""
        for one in back:
            self._cover(one, newest)
        self._waiting.append(newest)

    def take(self, *, all_of_them: bool = False) -> Waiting[T] | None:
        """The oldest frame if it has waited long enough for those behind it, or in any case."""
        if not self._waiting or not (all_of_them or self._due(self._waiting[0], self._waiting[-1])):
            return None
        return self._waiting.popleft()

    def clear(self) -> None:
        """Forgets what waits."""
        self._waiting.clear()

    def _due(self, oldest: Waiting[T], newest: Waiting[T]) -> bool:
        if oldest.frame.generation != newest.frame.generation or len(self._waiting) > MOST:
            return True
        # A source whose time runs backwards has nothing to say about what waits.
        return not 0 <= newest.pts - oldest.pts < self._look_ahead - _TREMBLE

    def _cover(self, back: Back, newest: Waiting[T]) -> None:
        for waiting in self._waiting:
            if waiting.faces is None or waiting.pts <= back.since + 1e-6:
                continue
            if waiting.frame.generation != newest.frame.generation:
                continue
            if any(face.track == back.track and not face.coasted for face in waiting.faces):
                continue
            box = _between(back, waiting.pts, newest.pts)
            # What coasting has covered stays covered: a second opinion hides more, never less.
            waiting.faces = (*waiting.faces, Face(box, 0.0, track=back.track, coasted=True))


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
