"""One sealed frame as a JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from faceanond.anonymise.frame import AnonymisedFrame, require_sealed
from faceanond.errors import EncodeError
from faceanond.frames import ColourMatrix
from faceanond.publish.encoder import video_frame

_MATRICES = {ColourMatrix.BT601: Colorspace.ITU601, ColourMatrix.BT709: Colorspace.ITU709}


def jpeg(frame: AnonymisedFrame, *, quality: int = 80) -> bytes:
    """The picture as a JPEG file without any metadata; `quality` is 1..100. Blocks for some milliseconds.

    FFmpeg converts the colours because OpenCV knows only one matrix for YUV, and it would be the wrong one for HD.
    Raises TypeError for anything but a sealed frame.
    """
    frame = require_sealed(frame)
    picture = video_frame(frame).reformat(
        format="bgr24",
        src_colorspace=_MATRICES[frame.matrix],
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    bgr: NDArray[np.uint8] = picture.to_ndarray().astype(np.uint8, copy=False)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, min(max(quality, 1), 100)])
    if not done:
        raise EncodeError(f"camera {frame.camera}: cannot make a JPEG of {frame.width}x{frame.height}")
    return bytes(data)
