"""Whether the vital parts do their work: small jobs whose right answer is known, asked while the daemon runs."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.detect.known import OPTIONS, known_faces
from faceanond.errors import FaceanondError
from faceanond.frames import Detections, Face, Verdict
from faceanond.pipeline.judge import DetectsFaces

CAMERA = "self test"
"""No camera can be called so: a space is not allowed in a name."""


class SelfTestError(FaceanondError):
    """A vital part gives wrong answers."""


async def detector_answers(detector: DetectsFaces) -> None:
    """Asks the shared detector for the known face. Raises DetectionError or SelfTestError."""
    found = await detector.detect(known_faces()[0].frame, OPTIONS)
    if not found.faces:
        raise SelfTestError("the detector does not find the face that it must find")


async def anonymiser_hides(anonymiser: Anonymiser, executor: Executor) -> None:
    """Has the known face hidden, and looks whether it is. Raises SelfTestError."""
    await asyncio.get_running_loop().run_in_executor(executor, _hide, anonymiser)


def _hide(anonymiser: Anonymiser) -> None:
    known = known_faces()[0]
    frame = known.frame
    sealed = anonymiser.seal(frame, Detections(frame.id, (Face(known.box, 1.0),)))
    left, top, right, bottom = known.box.rounded_out()
    same = sealed.i420[top:bottom, left:right] == frame.y[top:bottom, left:right]
    if sealed.verdict is not Verdict.MASKED or same.mean() > 0.5:
        raise SelfTestError("the anonymiser does not hide the face that it must hide")
