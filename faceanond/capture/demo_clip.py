"""The demo's scene as a camera would send it: an H.264 file that has to be decoded.

Only options come in, never a picture, so nothing that a camera saw can leave the process this way.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from faceanond.capture.demo import DemoOptions, DemoSource
from faceanond.clock import Clock
from faceanond.frames import Plane, RawFrame

BITS_PER_PIXEL = 0.08
"""What cameras are usually set to: 1.8 Mbit/s for 1280x720 at 25 fps, 4 Mbit/s for 1920x1080."""
NOISE = 1.5
"""Standard deviation of the sensor's noise, in steps of luma. A drawn scene without any leaves the decoder nothing to
do where nothing moves, and costs it a third less than a camera's pictures of the same bit rate."""
NOISE_FIELDS = 4
NOISE_SIDE = 256
"""Different fields of noise, used in turn and side by side: fresh noise for each picture would take longer than all
the rest."""
KEYFRAME_SECONDS = 2
LEAST = 8
"""Frames that are written however long they take."""


@dataclass(frozen=True, slots=True)
class DemoClip:
    """What was written: so many different pictures, and the mean number of faces to be seen in one."""

    frames: int
    faces: float


def write_demo_clip(
    path: str, options: DemoOptions, *, frames: int, within: float, clock: Clock, times: int = 1
) -> DemoClip:
    """Writes a Matroska file of so many frames, or as many as can be made `within` so many seconds, and all of them
    `times` times, which costs next to nothing and spares who plays it opening it anew. Blocks.

    High profile without B-frames and with a keyframe every two seconds, as cameras have it. The colours need no tag:
    the demo's are those that a decoder assumes for its size.
    """
    scene = DemoSource("clip", options, generation=1, clock=clock, live=False)
    scene.open()
    began = clock.monotonic()
    faces = written = 0
    packets: list[Packet[VideoStream]] = []
    try:
        with av.open(f"file:{path}", "w", format="matroska") as container:
            stream = container.add_stream("libx264", rate=_rate(options))
            _set_up(stream, options)
            noise = _Noise(options)
            for index in range(frames):
                packets += stream.encode(_noisy(scene.frame(index), noise, index, options))
                faces += len(scene.true_boxes(index))
                written += 1
                if written >= LEAST and clock.monotonic() - began >= within:
                    break
            packets += stream.encode(None)
            for place in range(times * len(packets)):
                packet = packets[place % len(packets)]
                packet.time_base, packet.pts, packet.dts = 1 / _rate(options), place, place
                container.mux(packet)
    finally:
        scene.close()
    return DemoClip(written, faces / written)


def _rate(options: DemoOptions) -> Fraction:
    return Fraction(options.fps).limit_denominator(1001)


def _set_up(stream: VideoStream, options: DemoOptions) -> None:
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = options.width, options.height, "yuv420p"
    context.time_base = 1 / _rate(options)
    context.bit_rate = bitrate = max(64_000, round(options.width * options.height * options.fps * BITS_PER_PIXEL))
    context.gop_size = max(1, round(options.fps * KEYFRAME_SECONDS))
    # One thread, so that the clip is the same on every machine.
    context.thread_count = 1
    context.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "profile": "high",
        "maxrate": str(bitrate),
        "bufsize": str(bitrate),
        "x264-params": "log-level=error",
    }


class _Noise:
    """A sensor's noise; the same in every run."""

    def __init__(self, options: DemoOptions) -> None:
        chance = np.random.default_rng(0)
        times = (-(-options.height // NOISE_SIDE), -(-options.width // NOISE_SIDE))
        tiles = np.rint(chance.normal(0, NOISE, (NOISE_FIELDS, NOISE_SIDE, NOISE_SIDE))).astype(np.int16)
        self._fields: list[NDArray[np.int16]] = [
            np.ascontiguousarray(np.tile(tile, times)[: options.height, : options.width]) for tile in tiles
        ]

    def over(self, luma: Plane, index: int) -> Plane:
        return np.asarray(cv2.add(luma, self._fields[index % NOISE_FIELDS], dtype=cv2.CV_8U), np.uint8)


def _noisy(frame: RawFrame, noise: _Noise, index: int, options: DemoOptions) -> VideoFrame:
    picture = VideoFrame(options.width, options.height, "yuv420p")
    for plane, pixels in zip(picture.planes, (noise.over(frame.y, index), frame.u, frame.v), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        rows[:, : plane.width] = pixels
    picture.pts, picture.time_base = index, 1 / _rate(options)
    return picture
