"""Words as pixels: light letters on a dark ground, in limited-range luma."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from faceanond.anonymise.planes import NEUTRAL, Planes
from faceanond.frames import Plane

GROUND = 32
LETTERS = 200
"""Luma of the ground and of the letters."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_UNIT = 30.0
"""Pixels between two lines at the font's scale of 1."""


@lru_cache(maxsize=256)
def lettered(text: str, size: int) -> Plane:
    """One line of text on its ground, about `size` pixels high. Read-only; both sides are even.

    The fonts of OpenCV know printable ASCII; anything else becomes a question mark.
    """
    text = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    scale, weight, space = size / _UNIT, 1 + size // 48, max(2, size // 4)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, weight)
    shape = (height + below + 2 * space + 1) // 2 * 2, (width + 2 * space + 1) // 2 * 2
    picture: Plane = np.full(shape, GROUND, np.uint8)
    cv2.putText(picture, text, (space, space + height), _FONT, scale, LETTERS, weight, cv2.LINE_AA)
    picture.flags.writeable = False
    return picture


def paste(planes: Planes, letters: Plane, left: int, top: int) -> None:
    """Puts lettering into the picture, opaque and grey, cut at the picture's edge. `left` and `top` are even."""
    height = min(letters.shape[0], planes.height - top)
    width = min(letters.shape[1], planes.width - left)
    if width <= 0 or height <= 0:
        return
    planes.y[top : top + height, left : left + width] = letters[:height, :width]
    for chroma in (planes.u, planes.v):
        chroma[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2] = NEUTRAL
