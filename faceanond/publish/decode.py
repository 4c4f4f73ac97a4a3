"""Published packets back to a picture, as a viewer's player would have it: for looking at what really went out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from faceanond.errors import FaceanondError
from faceanond.frames import ColourMatrix, Plane
from faceanond.publish.encoder import COLOURS
from faceanond.publish.packet import EncodedPacket

_MATRICES = {space: matrix for matrix, (space, _, _) in COLOURS.items()}


class UndecodableError(FaceanondError):
    """What was published is no picture to FFmpeg."""


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPicture:
    """The planes of one picture, 8-bit YUV 4:2:0 in limited range, in memory of their own."""

    y: Plane = field(repr=False)
    u: Plane = field(repr=False)
    v: Plane = field(repr=False)
    matrix: ColourMatrix


def decoded(packets: Sequence[EncodedPacket]) -> DecodedPicture:
    """The last picture of these packets, of which the first is a keyframe. Blocks for some milliseconds.

    A decoder of its own, which has seen nothing before: what it shows is what the packets alone hold. It is told
    neither size nor colours. Raises UndecodableError.
    """
    if not packets or not packets[0].keyframe:
        raise UndecodableError("only packets that begin with a keyframe can be decoded by themselves")
    try:
        context = av.CodecContext.create("h264", "r")
        assert isinstance(context, VideoCodecContext)
        # One thread: others would hold pictures back, and one picture needs no more.
        context.thread_count = 1
        pictures = [picture for packet in packets for picture in context.decode(av.Packet(packet.data))]
        pictures += context.decode(None)
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise UndecodableError(f"the published picture cannot be decoded: {error}") from error
    if not pictures or pictures[-1].format.name != "yuv420p":
        raise UndecodableError("the published packets hold no picture in YUV 4:2:0")
    last = pictures[-1]
    y, u, v = (_copied(last, index) for index in range(3))
    return DecodedPicture(y, u, v, _MATRICES.get(last.colorspace, ColourMatrix.BT709))


def _copied(picture: VideoFrame, index: int) -> Plane:
    """A copy, so that the decoder's memory is free when the decoder is."""
    plane = picture.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    copy: Plane = rows[:, : plane.width].copy()
    copy.flags.writeable = False
    return copy
