"""What the inference thread does with one batch.

Rule: every frame gets its own outcome, faces or a DetectionError. When a batch fails, its frames are tried once more
one by one, so that a single camera's poisonous frame does not conceal the others. What cannot be believed (a number
that is not finite, a wrong count) is an error too, never "no faces".

The canary belongs here: a known face added to the requests, and its absence in the answers turned into an error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from faceanond.detect.protocol import Detector, DetectRequest, DeviceLostError
from faceanond.errors import DetectionError
from faceanond.frames import Detections, Face

Outcome = Detections | DetectionError


def infer(detector: Detector, requests: Sequence[DetectRequest]) -> list[Outcome]:
    """The outcome of each request, in order. Raises DeviceLostError when no further call can succeed."""
    together = _attempt(detector, requests)
    if isinstance(together, list):
        return together
    if len(requests) == 1:
        return [together]
    outcomes: list[Outcome] = []
    for request in requests:
        alone = _attempt(detector, [request])
        outcomes.append(alone[0] if isinstance(alone, list) else alone)
    return outcomes


def _attempt(detector: Detector, requests: Sequence[DetectRequest]) -> list[Outcome] | DetectionError:
    try:
        answers = detector.detect(requests)
    except DeviceLostError:
        raise
    except DetectionError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a detector may fail in any way; each becomes a concealed frame
        return DetectionError("detector_failed", f"the detector failed: {type(error).__name__}: {error}")
    if len(answers) != len(requests):
        return DetectionError("shape", f"the detector answered {len(answers)} of {len(requests)} frames")
    return [_believed(request, faces) for request, faces in zip(requests, answers, strict=True)]


def _believed(request: DetectRequest, faces: tuple[Face, ...]) -> Outcome:
    for face in faces:
        if not (face.box.finite and math.isfinite(face.score)):
            return DetectionError("nan", "the detector answered with a face that is not finite")
    return Detections(request.frame.id, faces)
