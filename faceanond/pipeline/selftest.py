"""Whether the vital parts do their work: small jobs whose right answer is known, asked while the daemon runs."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

import numpy as np

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.config.model import DetectOptions
from faceanond.detect.known import known_faces
from faceanond.errors import FaceanondError
from faceanond.frames import ColourMatrix, Detections, Face, FrameId, RawFrame, Verdict
from faceanond.pipeline.judge import DetectsFaces

CAMERA = "self test"
"""No camera can be called so: a space is not allowed in a name."""
_SIDE = 64
"""Pixels of the picture that goes through the queue: just above the smallest face, so that it costs next to nothing."""


class SelfTestError(FaceanondError):
    """A vital part gives wrong answers."""


async def detector_answers(detector: DetectsFaces) -> None:
    """Has a plain picture pass through the shared queue. Raises DetectionError.

    An answer means that the queue moves, and that the detector found the known face beside this picture or shortly
    before: without its canary the queue gives no answer, so the face is not asked for a second time here.
    """
    await detector.detect(_plain(), DetectOptions())


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


def _plain() -> RawFrame:
    luma, chroma = np.full((_SIDE, _SIDE), 128, np.uint8), np.full((_SIDE // 2, _SIDE // 2), 128, np.uint8)
    return RawFrame(FrameId(CAMERA, 0, 0), luma, chroma, chroma, False, ColourMatrix.BT601, captured=0.0, pts=0.0)
