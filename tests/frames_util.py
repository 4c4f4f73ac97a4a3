"""RGB pictures as raw frames, the way a decoder would deliver them, and the packaged face in many poses."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.assets import astronaut
from faceanond.frames import ColourMatrix, FrameId, RawFrame

Rgb = NDArray[np.uint8]

POSES: dict[str, tuple[float, bool, int, int, int, int]] = {
    "astronaut 1.0": (1, False, 0, 0, 512, 512),
    "astronaut 0.5": (0.5, False, 0, 0, 256, 256),
    "astronaut 0.35": (0.35, False, 0, 0, 179, 179),
    "astronaut 0.75 mirrored": (0.75, True, 0, 0, 384, 384),
    "astronaut 1.0 mirrored": (1, True, 0, 0, 512, 512),
    "astronaut 2.0": (2, False, 0, 0, 1024, 1024),
    "astronaut 3.0 mirrored": (3, True, 0, 0, 1536, 1536),
    "astronaut 1.0 at the left edge": (1, False, -200, 0, 512, 512),
    "astronaut 1.0 at the upper edge": (1, False, 0, -100, 512, 512),
    "astronaut 1.0 in 1280x720": (1, False, 600, 150, 1280, 720),
    "astronaut 0.6 in 1280x720": (0.6, False, 100, 300, 1280, 720),
    "astronaut 0.8 mirrored in 1920x1080": (0.8, True, 1300, 500, 1920, 1080),
    "astronaut 0.9 odd size": (0.9, False, 13, 7, 501, 467),
}
"""Name: (scale, mirrored, shift right, shift down, canvas width, canvas height)."""


def packaged_face() -> Rgb:
    """The packaged picture, 512x512, RGB; its face is about (165, 65)-(275, 215)."""
    return np.ascontiguousarray(astronaut()[:, :, ::-1])


def posed(name: str) -> Rgb:
    """The packaged picture scaled, mirrored and shifted on a plain ground, as POSES says."""
    scale, mirrored, right, down, width, height = POSES[name]
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(packaged_face(), None, fx=scale, fy=scale, interpolation=flags)
    if mirrored:
        picture = np.ascontiguousarray(picture[:, ::-1])
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return np.asarray(cv2.warpAffine(picture, shift, (width, height), borderValue=(90, 110, 120)), dtype=np.uint8)


def raw(rgb: Rgb, camera: str = "lobby", index: int = 0) -> RawFrame:
    """Limited-range BT.601 planes of a picture of any size."""
    height, width = rgb.shape[:2]
    even = cv2.copyMakeBorder(rgb, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    rows, columns = even.shape[:2]
    planes = np.asarray(cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8).reshape(-1)
    luma, chroma = rows * columns, rows * columns // 4
    return RawFrame(
        id=FrameId(camera, 1, index),
        y=planes[:luma].reshape(rows, columns)[:height, :width],
        u=planes[luma : luma + chroma].reshape(rows // 2, columns // 2),
        v=planes[luma + chroma :].reshape(rows // 2, columns // 2),
        full_range=False,
        matrix=ColourMatrix.BT601,
        captured=1000.0,
        pts=0.0,
    )


def planar(rgb: Rgb, *, full_range: bool, matrix: ColourMatrix) -> RawFrame:
    """The same in the given range and matrix, by the textbook's formulas."""
    red, blue = {ColourMatrix.BT601: (0.299, 0.114), ColourMatrix.BT709: (0.2126, 0.0722)}[matrix]
    r, g, b = (rgb[:, :, channel].astype(np.float64) for channel in range(3))
    luma = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - luma) / (2 * (1 - blue)), (r - luma) / (2 * (1 - red))
    if not full_range:
        luma, u, v = 16 + luma * 219 / 255, u * 224 / 255, v * 224 / 255
    height, width = luma.shape
    small = [plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3)) + 128 for plane in (u, v)]
    y, u8, v8 = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (luma, *small))
    return RawFrame(FrameId("lobby", 1, 0), y, u8, v8, full_range, matrix, 1000.0, 0.0)
