"""From a picture to what is hidden in it: detection, tracks and look-ahead, the same for live video and files.

    detect (told where faces are expected) -> tracker -> delay line

Rule: a frame leaves with its own verdict only. Tracks add to what was found in it, and never take anything away; when
the tracker fails, the frame is concealed and the tracker starts anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from faceanond.anonymise import policy
from faceanond.config.model import DetectOptions, Track
from faceanond.errors import STOPPED, DetectionError
from faceanond.frames import Detections, Expected, Face, RawFrame
from faceanond.pipeline.judge import DetectsFaces, Judged, judge
from faceanond.track.lookahead import DelayLine, Waiting
from faceanond.track.tracker import Back, Tracker

T = TypeVar("T")

log = structlog.get_logger(__name__)

TRACK_FAILED = "track_failed"
"""The reason of a frame that is concealed because the tracker failed at it."""
STUCK_AFTER = 2.0
"""Seconds that the tracker may take for a frame before its thread is given up: a thousand times its cost."""


class TrackerStuckError(Exception):
    """The tracker did not come back."""


class Follower:
    """One camera's judgement. `judge` is called for one frame at a time; closed by `close`."""

    def __init__(self, camera: str, detector: DetectsFaces, options: DetectOptions, settings: Track) -> None:
        self._camera = camera
        self._detector = detector
        self._options = options
        self._settings = settings
        self._tracker = Tracker(hold=settings.hold)
        self._line: DelayLine[Judged] = DelayLine(settings.look_ahead if settings.enabled else 0.0)
        # Predicting and matching take about half a millisecond a frame, too much for a loop that serves forty cameras.
        self._thread = self._new_thread()

    def __len__(self) -> int:
        """Frames that wait."""
        return len(self._line)

    @property
    def oldest(self) -> RawFrame | None:
        """The frame that waits for the longest."""
        return self._line.oldest.item.frame if len(self._line) else None

    async def judge(self, frame: RawFrame) -> Judged | None:
        """Finds out what is to be hidden in a frame, and lets it wait; `take` gives what has waited long enough.

        Returns the frame when the camera was stopped meanwhile: then it does not wait, and is not to be shown.
        """
        expected: tuple[Expected, ...] | DetectionError | None = None
        # A picture that the source doubts says nothing about motion, and is concealed anyway.
        if self._settings.enabled and frame.suspect is None:
            expected = await self._run(partial(self._tracker.expect, frame))
        if isinstance(expected, DetectionError):
            self._wait(Judged(frame, expected))
            return None
        judged = await judge(frame, self._detector, self._options, expected)
        outcome = judged.outcome
        if isinstance(outcome, DetectionError):
            if outcome.reason == STOPPED:
                return judged
            self._wait(judged)
        elif policy.doubt(frame.id, frame.suspect, frame.size, outcome) is not None:
            # What the anonymiser is going to refuse, boxes of another frame say, is nothing for a tracker to believe.
            self._wait(judged)
        elif expected is None:
            self._wait(judged, outcome.faces)
        else:
            tracked = await self._run(partial(self._tracker.update, frame, outcome))
            if isinstance(tracked, DetectionError):
                self._wait(Judged(frame, tracked))
            else:
                self._wait(judged, tracked.detections.faces, tracked.back)
        return None

    def _wait(self, judged: Judged, faces: tuple[Face, ...] | None = None, back: Sequence[Back] = ()) -> None:
        """Lets a frame wait, with its faces; without any it is concealed for what `judged` says."""
        self._line.push(Waiting(judged, judged.frame.id, judged.frame.pts, faces), back)

    def take(self, *, all_of_them: bool = False) -> Judged | None:
        """The next frame that has waited long enough for those behind it (or the next at all), as it is known now."""
        waiting = self._line.take(all_of_them=all_of_them)
        if waiting is None:
            return None
        judged = waiting.item
        if waiting.faces is None:
            return judged
        return replace(judged, outcome=Detections(waiting.frame, waiting.faces))

    async def _run(self, work: Callable[[], T]) -> T | DetectionError:
        """What the tracker says; or why this frame is concealed, and then the tracker has begun anew."""
        try:
            async with asyncio.timeout(STUCK_AFTER):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError:
            # A thread that hangs is left to the process's end.
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = self._new_thread()
            return self._failed(TrackerStuckError(f"it did not come back within {STUCK_AFTER:g} s"))
        except Exception as error:  # noqa: BLE001 - whatever it is, this frame is concealed
            return self._failed(error)

    def _new_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix=f"track:{self._camera}")

    def _failed(self, error: Exception) -> DetectionError:
        log.error("tracking failed", camera=self._camera, exc_info=error)
        self._tracker = Tracker(hold=self._settings.hold)
        return DetectionError(TRACK_FAILED, f"the tracker failed: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Drops what waits, and ends the thread."""
        self._line.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)
