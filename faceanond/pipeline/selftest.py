"""A face that everybody knows: what the detector and the anonymiser are asked about to see whether they work.

The picture is part of the package, so the question needs no camera, and the right answer is known.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from functools import cache

import cv2
import numpy as np

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.assets import astronaut
from faceanond.config.model import DetectOptions
from faceanond.errors import FaceanondError
from faceanond.frames import Box, ColourMatrix, Detections, Face, FrameId, RawFrame, Verdict
from faceanond.pipeline.judge import DetectsFaces

CAMERA = "self test"
"""No camera can be called so: a space is not allowed in a name."""
SIZE = 160
"""Pixels: the face in it is about 75 wide, far above the smallest."""
_CROP = (slice(0, 320), slice(60, 380))
"""Rows and columns of the packaged picture: head and shoulders."""


class SelfTestError(FaceanondError):
    """A vital part gives wrong answers."""


@cache
def known_frame() -> RawFrame:
    """The packaged face as a raw frame of SIZE x SIZE."""
    small = cv2.resize(astronaut()[_CROP], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    planes = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2YUV_I420), np.uint8).reshape(-1)
    luma, half = SIZE * SIZE, SIZE // 2
    return RawFrame(
        FrameId(CAMERA, 0, 0),
        planes[:luma].reshape(SIZE, SIZE),
        planes[luma : luma + half * half].reshape(half, half),
        planes[luma + half * half :].reshape(half, half),
        full_range=False,
        matrix=ColourMatrix.BT601,
        captured=0.0,
        pts=0.0,
    )


async def detector_answers(detector: DetectsFaces) -> None:
    """Asks the shared detector for the known face. Raises DetectionError or SelfTestError."""
    found = await detector.detect(known_frame(), DetectOptions())
    if not found.faces:
        raise SelfTestError("the detector does not find the face that it must find")


async def anonymiser_hides(anonymiser: Anonymiser, executor: Executor) -> None:
    """Has the known face hidden, and looks whether it is. Raises SelfTestError."""
    await asyncio.get_running_loop().run_in_executor(executor, _hide, anonymiser)


def _hide(anonymiser: Anonymiser) -> None:
    frame = known_frame()
    face = Box(50, 32, 110, 108)
    sealed = anonymiser.seal(frame, Detections(frame.id, (Face(face, 1.0),)))
    left, top, right, bottom = face.rounded_out()
    same = sealed.i420[top:bottom, left:right] == frame.y[top:bottom, left:right]
    if sealed.verdict is not Verdict.MASKED or same.mean() > 0.5:
        raise SelfTestError("the anonymiser does not hide the face that it must hide")
