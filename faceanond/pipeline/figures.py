"""One camera's counters: written by its pipeline on the event loop, read as a `CameraStatus`."""

from __future__ import annotations

from collections import Counter

from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.clock import Clock
from faceanond.errors import SourceFault
from faceanond.frames import Face, Verdict
from faceanond.stats import SECONDS, Histogram, RateMeter
from faceanond.status import CameraState

FACE_SIZES = (16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0, 192.0, 256.0, 512.0)
"""Bounds in pixels: detection's smallest sizes lie close together, since that is where faces are missed."""


class Figures:
    """The camera's numbers. `captured` may be called from the capture thread, everything else on the loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rate = RateMeter()
        self._concealed_since: tuple[str, float] | None = None
        self._fail_closed: Counter[str] = Counter()
        self.state = CameraState.CONNECTING
        self.codec: str | None = None
        self.last_error: str | None = None
        self.retry_at: float | None = None
        self.captured = 0
        self.last_frame: float | None = None
        self.published: Counter[Verdict] = Counter()
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.reconnects: Counter[str] = Counter()
        self.faces_detected = 0
        self.faces_current = 0
        self.tracks_coasting = 0
        self.face_sizes = Histogram(*FACE_SIZES)
        self.latency = Histogram(*SECONDS)
        self.width = 0
        self.height = 0

    def frame_captured(self) -> None:
        """A picture arrived from the camera."""
        self.captured += 1
        self.last_frame = self._clock.wall()

    def connecting(self) -> None:
        self.state = CameraState.CONNECTING
        self.retry_at = None

    def live(self) -> None:
        self.state = CameraState.LIVE
        self.last_error = None
        self.retry_at = None

    def lost(self, fault: SourceFault, message: str, retry_in: float) -> None:
        """The connection ended; the next attempt comes after `retry_in` seconds."""
        self.state = CameraState.RETRYING
        self.reconnects[fault.value] += 1
        self.last_error = message
        self.retry_at = self._clock.monotonic() + retry_in
        self.faces_current = 0

    def faces(self, faces: tuple[Face, ...]) -> None:
        """What is hidden in one frame; what a track alone says is told apart."""
        found = [face for face in faces if not face.coasted]
        self.faces_detected += len(found)
        self.faces_current = len(found)
        self.tracks_coasting = len({face.track for face in faces if face.coasted} - {face.track for face in found})
        for face in found:
            self.face_sizes.observe(min(face.box.width, face.box.height))

    def frame_published(self, frame: AnonymisedFrame) -> None:
        """A frame went to the stream, with its verdict."""
        now = self._clock.monotonic()
        self.published[frame.verdict] += 1
        self.width, self.height = frame.width, frame.height
        if frame.verdict is not Verdict.HELD:
            self._rate.tick(now)
            self.latency.observe(max(0.0, now - frame.captured))
        self._settle(now)
        concealed = frame.verdict in (Verdict.FULL, Verdict.HELD)
        self._concealed_since = (frame.reason or "unknown", now) if concealed else None

    def fps(self) -> float:
        """Published frames a second that show the camera's own pictures."""
        return self._rate.rate(self._clock.monotonic())

    def fail_closed(self) -> tuple[str | None, dict[str, float]]:
        """Why the picture is concealed now (or None), and the seconds spent so by reason."""
        self._settle(self._clock.monotonic())
        current = self._concealed_since[0] if self._concealed_since else None
        return current, dict(self._fail_closed)

    def _settle(self, now: float) -> None:
        """Books the time since the last look under the reason that held meanwhile."""
        if self._concealed_since is not None:
            reason, since = self._concealed_since
            self._fail_closed[reason] += max(0.0, now - since)  # type: ignore[assignment]
            self._concealed_since = (reason, now)
