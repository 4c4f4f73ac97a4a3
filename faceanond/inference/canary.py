"""A known face that rides along in the batches: only answers that come with it are believed.

Rule: a broken device may go on answering, and "no face" from it would show every face. So on a GPU every batch carries
the canary, and on a CPU, where memory and arithmetic are the process's own, one at least every half second; the first
batch, and every one after a failure, carries it anywhere. It comes on top of the cameras' frames and takes nobody's
place. Where it is not found, no answer of that batch is believed.

The face and the canary's place among the frames change from ride to ride, so that neither the answer to an earlier
batch nor a detector that works in the first place only passes for a find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from faceanond.clock import Clock
from faceanond.detect.known import OPTIONS, KnownFace, known_faces
from faceanond.detect.protocol import DetectRequest
from faceanond.errors import DetectionError
from faceanond.frames import Box, Detections, Face
from faceanond.ratelimit import RateLimited

log = structlog.get_logger(__name__)

Outcome = Detections | DetectionError

REASON = "canary"
"""Why frames are concealed whose batch was not believed."""
EVERY = 0.5
"""Seconds on a CPU after which a batch carries the canary again: with batches of up to half a second, no second passes
without one. It costs 3 ms."""
LIMIT = 3
"""Canaries missed in a row after which only a restart can help. A healthy detector misses none: its input never
changes."""
LEAST_OVERLAP = 0.4
"""Of the known box (intersection over union): MTCNN and YuNet reach 0.7 and more, a box of another variant 0, and one
of the whole picture 0.12."""
SCORE_SLACK = 1e-3
"""A score may exceed 1 by rounding; anything beyond is no score."""


@dataclass(frozen=True, slots=True)
class Ride:
    """One canary in one batch: `place` is its index among the requests, `since` when it was taken aboard."""

    known: KnownFace
    place: int
    since: float

    def among(self, requests: Sequence[DetectRequest]) -> list[DetectRequest]:
        """The batch with the canary in its place."""
        own = DetectRequest(self.known.frame, OPTIONS)
        return [*requests[: self.place], own, *requests[self.place :]]

    def doubt(self, outcomes: Sequence[Outcome]) -> str | None:
        """Why a batch with these outcomes, the canary's among them, is not believed; None when it is."""
        own = outcomes[self.place]
        if isinstance(own, DetectionError):
            return f"the known face got no answer: {own}"
        if not any(_is_found(face, self.known.box) for face in own.faces):
            return f"the known face was not found among {len(own.faces)} answered"
        others = (*outcomes[: self.place], *outcomes[self.place + 1 :])
        if any(face in own.faces for other in others if isinstance(other, Detections) for face in other.faces):
            # No two pictures have a face at the same place and with the same score to the last bit.
            return "another frame was answered with the known face"
        return None


class Canary:
    """Says which batches carry the canary, and remembers how it went. Used by one thread; counts may be read by any."""

    def __init__(self, provider: str, clock: Clock) -> None:
        """`provider` is the detector's."""
        self.failures = 0
        self.missed_in_a_row = 0
        self._every = EVERY if provider == "cpu" else 0.0
        self._clock = clock
        self._found: float | None = None
        self._rides = 0
        self._missed = RateLimited[str]()

    @property
    def due(self) -> bool:
        """The next batch must carry it."""
        return self._found is None or self._clock.monotonic() - self._found >= self._every

    def board(self, frames: int) -> Ride:
        """The next ride, with so many frames of cameras."""
        variants = known_faces()
        ride = Ride(variants[self._rides % len(variants)], self._rides % (frames + 1), self._clock.monotonic())
        self._rides += 1
        return ride

    def distrust(self) -> None:
        """Something failed: the next batch carries the canary."""
        self._found = None

    def alight(self, ride: Ride, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes of the cameras' frames: as they came when the canary was found, else every one an error."""
        why = ride.doubt(outcomes)
        if why is None:
            self._found = ride.since
            self.missed_in_a_row = 0
            return [*outcomes[: ride.place], *outcomes[ride.place + 1 :]]
        self.distrust()
        self.failures += 1
        self.missed_in_a_row += 1
        if told := self._missed.note(why, self._clock.monotonic()):
            log.error("batch not believed", batches=told.count, frames=len(outcomes) - 1, reason=told.last)
        return [DetectionError(REASON, f"the detector is not believed: {why}") for _ in range(len(outcomes) - 1)]


def _is_found(face: Face, known: Box) -> bool:
    return OPTIONS.score_threshold <= face.score <= 1 + SCORE_SLACK and _overlap(face.box, known) >= LEAST_OVERLAP


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union; 0 for a box without area."""
    shared = one.common(other)
    return shared / (one.width * one.height + other.width * other.height - shared) if shared > 0 else 0.0
