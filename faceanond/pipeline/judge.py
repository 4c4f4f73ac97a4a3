"""The two decisions that live video and files share: what is known about a frame, and how it is sealed for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.config.model import DetectOptions
from faceanond.detect.pyramid import is_searched
from faceanond.errors import DetectionError
from faceanond.frames import Detections, Expected, RawFrame


class DetectsFaces(Protocol):
    """The detector as a pipeline sees it."""

    async def detect(
        self, frame: RawFrame, options: DetectOptions, expected: tuple[Expected, ...] | None = None
    ) -> Detections:
        """The faces of this frame; with `expected`, where a tracker expects some, also those that are not sure.

        Raises DetectionError when there is no answer to believe.
        """
        ...


class SharedDetector(DetectsFaces, Protocol):
    """The same for a camera that comes and goes while others stay."""

    def forget(self, camera: str) -> None:
        """The camera has stopped: its frame, if one waits, is answered with DetectionError(STOPPED)."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """A frame and what is known about it: its detections, or why there are none."""

    frame: RawFrame
    outcome: Detections | DetectionError


async def judge(
    frame: RawFrame, detector: DetectsFaces, options: DetectOptions, expected: tuple[Expected, ...] | None = None
) -> Judged:
    """Asks the detector, unless the source itself doubts the picture: then no answer could be believed."""
    if frame.suspect is not None:
        return Judged(frame, DetectionError(frame.suspect, f"the source doubts this picture: {frame.suspect}"))
    if not is_searched(frame.size, options.min_size):
        # "No faces" would be true of the detector and false of the picture: nobody has looked at it.
        return Judged(frame, DetectionError("too_small", "the picture is smaller than the smallest face looked for"))
    try:
        return Judged(frame, await detector.detect(frame, options, expected))
    except DetectionError as error:
        return Judged(frame, error)


def seal_judged(anonymiser: Anonymiser, judged: Judged, *, fps: float = 0.0) -> AnonymisedFrame:
    """Masks what was found, or conceals the whole picture when nothing is known. Blocking."""
    if isinstance(judged.outcome, Detections):
        return anonymiser.seal(judged.frame, judged.outcome, fps=fps)
    return anonymiser.conceal(judged.frame, judged.outcome.reason)
