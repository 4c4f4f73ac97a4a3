"""What the inference thread does with one batch.

Rule: every frame gets its own outcome, faces or a DetectionError. When a batch fails, its frames are tried once more
one by one, each beside a canary, so that a single camera's poisonous frame does not conceal the others. What cannot be
believed (a number that is not finite, a wrong count, a batch that misses its canary) is an error too, never "no faces".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from faceanond.detect.protocol import TOO_MANY, Detector, DetectRequest, DeviceLostError
from faceanond.errors import DetectionError
from faceanond.frames import Detections, Face
from faceanond.inference.canary import Canary, Outcome, Ride


def infer(detector: Detector, requests: Sequence[DetectRequest], canary: Canary) -> list[Outcome]:
    """The outcome of each request, in order. Raises DeviceLostError when no further call can succeed."""
    together = _attempt(detector, requests, canary, canary.board(len(requests)) if canary.due else None)
    if isinstance(together, list):
        return together
    if len(requests) == 1:
        return [together]
    outcomes: list[Outcome] = []
    for request in requests:
        alone = _attempt(detector, [request], canary, canary.board(1))
        outcomes += alone if isinstance(alone, list) else [alone]
    return outcomes


def _attempt(
    detector: Detector, requests: Sequence[DetectRequest], canary: Canary, ride: Ride | None
) -> list[Outcome] | DetectionError:
    """One call of the detector: each request's outcome, or why there is none for any of them."""
    asked = requests if ride is None else ride.among(requests)
    outcomes = _answers(detector, asked)
    if isinstance(outcomes, list) and ride is not None:
        outcomes = canary.alight(ride, outcomes)
    if isinstance(outcomes, DetectionError) or any(map(_unwell, outcomes)):
        canary.distrust()
    return outcomes


def _answers(detector: Detector, requests: Sequence[DetectRequest]) -> list[Outcome] | DetectionError:
    try:
        answers = list(detector.detect(requests))
    except DeviceLostError:
        raise
    except DetectionError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a detector may fail in any way; each becomes a concealed frame
        return DetectionError("detector_failed", f"the detector failed: {type(error).__name__}: {error}")
    if len(answers) != len(requests):
        return DetectionError("shape", f"the detector answered {len(answers)} of {len(requests)} frames")
    return [_believed(request, faces) for request, faces in zip(requests, answers, strict=True)]


def _unwell(outcome: Outcome) -> bool:
    """Whether an outcome says something about the detector's health."""
    return isinstance(outcome, DetectionError) and outcome.reason != TOO_MANY


def _believed(request: DetectRequest, faces: Iterable[Face] | DetectionError) -> Outcome:
    if isinstance(faces, DetectionError):
        return faces
    try:
        found = tuple(faces)
        finite = all(face.box.finite and math.isfinite(face.score) for face in found)
    except (TypeError, AttributeError) as error:
        return DetectionError("shape", f"the detector answered with something that is no face: {error}")
    if not finite:
        return DetectionError("nan", "the detector answered with a face that is not finite")
    return Detections(request.frame.id, found)
