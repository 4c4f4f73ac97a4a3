"""A picture of our own: a RawFrame's planes are copied before anything is drawn, because they may be the decoder's
reference pictures, and because what is published must not change afterwards.

The copy has even sizes, so that chroma covers it exactly, and limited range, so that every stream is alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.frames import Plane, RawFrame

NEUTRAL = 128
"""The chroma of every grey (ITU-R BT.601, BT.709)."""

_LUMA = (219 / 255, 16.0)
_CHROMA = (224 / 255, 128 - 128 * 224 / 255)
"""Full range to limited range: factor and offset."""


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """A writeable I420 picture: `i420` is (height * 3 // 2, width) and owns its memory; y, u and v are views of it.

    y: (height, width); u and v: (height // 2, width // 2). width and height are even.
    """

    i420: NDArray[np.uint8]
    y: Plane
    u: Plane
    v: Plane

    @classmethod
    def empty(cls, width: int, height: int) -> Self:
        """A picture with arbitrary content; odd sizes are rounded up."""
        width, height = even(width), even(height)
        i420 = np.empty((height * 3 // 2, width), np.uint8)
        flat = i420.reshape(-1)
        luma, chroma = width * height, width * height // 4
        half = (height // 2, width // 2)
        return cls(
            i420,
            i420[:height],
            flat[luma : luma + chroma].reshape(half),
            flat[luma + chroma :].reshape(half),
        )

    @classmethod
    def filled(cls, width: int, height: int, luma: int) -> Self:
        """A grey picture."""
        planes = cls.empty(width, height)
        planes.y[:] = luma
        planes.u[:] = NEUTRAL
        planes.v[:] = NEUTRAL
        return planes

    @classmethod
    def copied(cls, frame: RawFrame) -> Self:
        """The frame's picture in limited range; an odd one gets its last column or row twice."""
        planes = cls.empty(frame.width, frame.height)
        _copy(frame.y, planes.y[: frame.height, : frame.width], _LUMA if frame.full_range else None)
        chroma = _CHROMA if frame.full_range else None
        _copy(frame.u, planes.u, chroma)
        _copy(frame.v, planes.v, chroma)
        if frame.width % 2:
            planes.y[: frame.height, -1] = planes.y[: frame.height, -2]
        if frame.height % 2:
            planes.y[-1] = planes.y[-2]
        return planes

    @property
    def width(self) -> int:
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        return int(self.y.shape[0])


def even(size: int) -> int:
    """The size itself, or one more; at least 2."""
    return max(2, size + size % 2)


def _copy(source: Plane, target: Plane, scale: tuple[float, float] | None) -> None:
    """One pass over the pixels. OpenCV returns a new array where it cannot write into `target`: then that is copied.

    `convertScaleAbs` rounds as a table would (no value lies half-way) in a third of the time of `cv2.LUT`.
    """
    if scale is None:
        np.copyto(target, source)
        return
    result = cv2.convertScaleAbs(source, target, *scale)
    if result.ctypes.data != target.ctypes.data:
        np.copyto(target, result)
