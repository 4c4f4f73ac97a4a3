"""Decoded pictures as 8-bit YUV 4:2:0 planes: wrapped where the decoder made just that, else converted by swscale."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from faceanond.frames import ColourMatrix, Plane

WRAPPED = frozenset({"yuv420p", "yuvj420p"})
GREY = frozenset({"gray", "gray8"})
HD_HEIGHT = 720
"""Untagged video of at least this height is BT.709, as every player assumes."""
# AVColorSpace (FFmpeg's pixfmt.h). BT.2020 has no matrix of its own here; BT.709 is the nearer one.
_BT709 = frozenset({1, 7, 9, 10})
_BT601 = frozenset({4, 5, 6})
_FULL = 2  # AVCOL_RANGE_JPEG


@dataclass(frozen=True, slots=True)
class Picture:
    """Planes as `RawFrame` wants them, and what they mean. `owner` keeps their memory alive."""

    y: Plane
    u: Plane
    v: Plane
    full_range: bool
    matrix: ColourMatrix
    owner: object = field(repr=False)


class PlaneMaker:
    """Turns decoded frames into planes. One per stream: it keeps swscale's tables."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def picture(self, frame: av.VideoFrame) -> Picture:
        """The planes of this frame, upright: zero copy for yuv420p that is not rotated, else converted."""
        name = frame.format.name
        matrix = matrix_of(frame.colorspace, frame.height)
        if name in WRAPPED:
            full = name.startswith("yuvj") or frame.color_range == _FULL
            planes = _wrap(frame, 0), _wrap(frame, 1), _wrap(frame, 2)
        elif name in GREY:
            # Grey of an unknown range: cameras that send it send JPEG, which is always full.
            full = frame.color_range != 1
            planes = _wrap(frame, 0), *_no_colour(frame.width, frame.height)
        else:
            frame, full = self._convert(frame, matrix)
            planes = _wrap(frame, 0), _wrap(frame, 1), _wrap(frame, 2)
        turns = quarter_turns(frame.rotation)
        if turns:
            planes = _turn(planes[0], turns), _turn(planes[1], turns), _turn(planes[2], turns)
        return Picture(*planes, full_range=full, matrix=matrix, owner=frame)

    def _convert(self, frame: av.VideoFrame, matrix: ColourMatrix) -> tuple[av.VideoFrame, bool]:
        """As yuv420p. YUV keeps its range and matrix; RGB becomes limited range."""
        space = Colorspace.ITU709 if matrix is ColourMatrix.BT709 else Colorspace.ITU601
        rgb = frame.format.is_rgb or frame.format.has_palette
        full = not rgb and (frame.format.name.startswith("yuvj") or frame.color_range == _FULL)
        kept = ColorRange.JPEG if full else ColorRange.MPEG
        converted = self._reformatter.reformat(
            frame,
            format="yuv420p",
            src_colorspace=Colorspace.DEFAULT if rgb else space,
            dst_colorspace=space,
            src_color_range=ColorRange.JPEG if rgb else kept,
            dst_color_range=kept,
            interpolation=Interpolation.BILINEAR,
            threads=1,
        )
        return converted, full


def matrix_of(colorspace: int, height: int) -> ColourMatrix:
    """From the stream's tag, or from the height when there is none."""
    if colorspace in _BT709:
        return ColourMatrix.BT709
    if colorspace in _BT601:
        return ColourMatrix.BT601
    return ColourMatrix.BT709 if height >= HD_HEIGHT else ColourMatrix.BT601


def quarter_turns(degrees: int) -> int:
    """How many quarter turns anticlockwise put the picture upright (0 to 3)."""
    return round(degrees / 90) % 4


def _wrap(frame: av.VideoFrame, index: int) -> Plane:
    plane = frame.planes[index]
    stride = plane.line_size
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, abs(stride))
    if stride < 0:
        # Stored bottom up: the buffer begins with the last row. Nothing downstream expects that, so copy.
        rows = np.ascontiguousarray(rows[::-1])
    view: Plane = rows[:, : plane.width]
    view.flags.writeable = False
    return view


@lru_cache(maxsize=8)
def _no_colour(width: int, height: int) -> tuple[Plane, Plane]:
    plane = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    plane.flags.writeable = False
    return plane, plane


def _turn(plane: Plane, turns: int) -> Plane:
    turned = np.ascontiguousarray(np.rot90(plane, turns))
    turned.flags.writeable = False
    return turned
