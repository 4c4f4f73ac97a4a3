"""A face that everybody knows: pictures whose right answer is part of the package.

Whoever finds faces or hides them can be asked about these at any time, without a camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from faceanond.assets import astronaut
from faceanond.config.model import DetectOptions
from faceanond.frames import Box, ColourMatrix, FrameId, RawFrame

CAMERA = "known face"
"""No camera can be called so: a space is not allowed in a name."""
SIZE = 160
"""Pixels, both ways: a small part of any camera's picture."""
OPTIONS = DetectOptions(min_size=24, scale_factor=0.5)
"""What a detector is asked when it is shown one. The face is 49 wide and 64 high, and must not be a close call: with
40 instead of 24, YuNet and CenterFace score it 0.83 to 0.9 instead of 0.93 and more."""
_FACE = Box(174, 62, 272, 190)
"""The face in the packaged picture."""
_SCALE = 0.5
_CENTRES = ((40, 40), (120, 120), (120, 40), (40, 120))
"""Where the face's middle is shown: one in each quarter, so that no variant's face touches another's."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownFace:
    """A picture of SIZE x SIZE and the box of the one face in it."""

    frame: RawFrame
    box: Box


@cache
def known_faces() -> tuple[KnownFace, ...]:
    """The variants: the same face in four places that do not overlap. The first call reads a file, so it blocks."""
    small = cv2.resize(astronaut(), None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_AREA)
    return tuple(_variant(small, index, centre) for index, centre in enumerate(_CENTRES))


def _variant(small: cv2.typing.MatLike, index: int, centre: tuple[int, int]) -> KnownFace:
    right = centre[0] - (_FACE.x1 + _FACE.x2) / 2 * _SCALE
    down = centre[1] - (_FACE.y1 + _FACE.y2) / 2 * _SCALE
    shift = np.array([[1, 0, round(right)], [0, 1, round(down)]], np.float32)
    picture = cv2.warpAffine(small, shift, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), np.uint8).reshape(-1)
    planes.flags.writeable = False
    luma, half = SIZE * SIZE, SIZE // 2
    frame = RawFrame(
        FrameId(CAMERA, 0, index),
        planes[:luma].reshape(SIZE, SIZE),
        planes[luma : luma + half * half].reshape(half, half),
        planes[luma + half * half :].reshape(half, half),
        full_range=False,
        matrix=ColourMatrix.BT601,
        captured=0.0,
        pts=0.0,
    )
    x, y = round(right), round(down)
    box = Box(_FACE.x1 * _SCALE + x, _FACE.y1 * _SCALE + y, _FACE.x2 * _SCALE + x, _FACE.y2 * _SCALE + y)
    return KnownFace(frame, box)
