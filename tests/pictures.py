"""Raw frames for tests: plain ones, and one that shows the packaged face."""

from __future__ import annotations

import cv2
import numpy as np

from faceanond.assets import astronaut as packaged_astronaut
from faceanond.frames import ColourMatrix, FrameId, RawFrame


def raw_frame(
    index: int = 0,
    *,
    camera: str = "lobby",
    generation: int = 1,
    size: tuple[int, int] = (320, 240),
    luma: int = 128,
    captured: float = 1000.0,
    suspect: str | None = None,
) -> RawFrame:
    """A picture with a gradient, so that hiding a part of it changes something. `size` is (width, height)."""
    width, height = size
    y = (np.add.outer(np.arange(height), np.arange(width)) * 7 % 97 + luma // 2).astype(np.uint8)
    chroma = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    return RawFrame(
        FrameId(camera, generation, index),
        y,
        chroma,
        chroma,
        False,
        ColourMatrix.BT601,
        captured,
        index / 25,
        suspect,
    )


def astronaut(size: tuple[int, int] = (640, 480), *, face_width: int = 110, index: int = 0) -> RawFrame:
    """The packaged picture on a grey ground, scaled so that the face is about so wide."""
    picture = packaged_astronaut()
    scale = face_width / 110
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    width, height = size
    canvas = np.full((height, width, 3), 90, np.uint8)
    rows, columns = min(height, picture.shape[0]), min(width, picture.shape[1])
    canvas[:rows, :columns] = picture[:rows, :columns]
    i420 = cv2.cvtColor(canvas, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    luma, chroma = width * height, width * height // 4
    return RawFrame(
        FrameId("lobby", 1, index),
        i420[:luma].reshape(height, width),
        i420[luma : luma + chroma].reshape(height // 2, width // 2),
        i420[luma + chroma :].reshape(height // 2, width // 2),
        False,
        ColourMatrix.BT601,
        1000.0 + index / 25,
        index / 25,
    )
