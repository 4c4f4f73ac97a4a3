"""Sealed frames and packets for the tests of everything that publishes: the one place here that makes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.clock import SystemClock
from faceanond.config.model import Anonymise
from faceanond.frames import ColourMatrix, Detections, FrameId, RawFrame, Verdict
from faceanond.publish import h264
from faceanond.publish.packet import EncodedPacket


def sealed(
    i420: NDArray[np.uint8],
    *,
    captured: float = 0.0,
    pts: float | None = None,
    camera: str = "yard",
    index: int = 0,
    matrix: ColourMatrix = ColourMatrix.BT709,
    concealed: bool = False,
) -> AnonymisedFrame:
    """This picture, (height * 3 // 2, width), in which nobody was found; or concealed as a whole."""
    width, height = i420.shape[1], i420.shape[0] * 2 // 3
    u, v = i420[height:].reshape(2, height // 2, width // 2)
    raw = RawFrame(
        id=FrameId(camera, 0, index),
        y=i420[:height],
        u=u,
        v=v,
        full_range=False,
        matrix=matrix,
        captured=captured,
        pts=captured if pts is None else pts,
    )
    anonymiser = Anonymiser(camera, Anonymise(legend=()), clock=SystemClock())
    return anonymiser.conceal(raw, "test") if concealed else anonymiser.seal(raw, Detections(raw.id, ()))


def picture(index: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """A grey ramp with a bright square that moves by two pixels a frame; the chroma is even."""
    i420 = np.full((height * 3 // 2, width), 128, np.uint8)
    i420[:height] = np.linspace(40, 160, width, dtype=np.uint8)
    left = 2 * index % (width - 16)
    i420[8:24, left : left + 16] = 220
    i420[height : height + height // 4] = 100
    return i420


def moving(index: int, *, fps: float = 25.0, width: int = 64, height: int = 48, start: float = 0.0) -> AnonymisedFrame:
    """Frame number `index` of a steady camera."""
    return sealed(picture(index, width, height), captured=start + index / fps, index=index)


def packet(index: int, *, keyframe: bool = False, size: int = 100, encoded: float = 1000.0) -> EncodedPacket:
    """A packet with recognisable contents: number `index` of a camera with 25 fps."""
    head = [b"\x67\x42\xc0\x1f\xda", b"\x68\xce\x3c\x80"] if keyframe else []
    body = bytes([0x65 if keyframe else 0x41]) + index.to_bytes(4, "big").replace(b"\x00", b"\xff") + b"\x80" * size
    return EncodedPacket(
        data=h264.join([*head, body]),
        keyframe=keyframe,
        timestamp=index * 3600,
        captured=index / 25,
        encoded=encoded,
        verdict=Verdict.CLEAN,
        width=64,
        height=48,
    )
