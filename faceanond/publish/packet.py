"""One encoded picture on its way to the viewers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from faceanond.frames import Verdict

CLOCK_RATE = 90_000
"""Ticks a second of every video timestamp here (RFC 6184)."""


class Codec(StrEnum):
    """What a viewer must be able to decode."""

    H264 = "h264"
    VP8 = "vp8"


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One picture: an H.264 access unit in Annex B form (start codes), or a VP8 frame (RFC 6386).

    An H.264 keyframe begins with SPS and PPS. `timestamp` counts 90 kHz ticks of the process's own monotonic clock
    (never the camera's), strictly increasing within a stream and not wrapped. `captured` and `encoded` are monotonic
    seconds.
    """

    data: bytes = field(repr=False)
    keyframe: bool
    timestamp: int
    captured: float
    encoded: float
    verdict: Verdict
    width: int
    height: int
    codec: Codec = Codec.H264
