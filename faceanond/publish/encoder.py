"""One H.264 encoder per camera, made so that every player shows the stream and a viewer may join at any keyframe.

Constrained Baseline, no B-frames, one picture in and one access unit out, SPS and PPS in front of every IDR, the true
level. Keyframes come by time, never by count, because cameras change their rate. libx264 spreads its bits by a fixed
frame rate (its variable mode would hold every picture back until the next one), so the rate is measured and corrected
at a keyframe, where opening the encoder anew costs a viewer nothing. Only a rate that is far too high does not wait
for one, since every second of it exceeds bit rate and level.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from faceanond.anonymise.frame import AnonymisedFrame, require_sealed
from faceanond.clock import Clock
from faceanond.config.model import Encode
from faceanond.errors import EncodeError
from faceanond.frames import ColourMatrix, Verdict
from faceanond.publish import h264
from faceanond.publish.packet import CLOCK_RATE, EncodedPacket
from faceanond.publish.rate import RateMeasure
from faceanond.publish.sps import without_fixed_rate
from faceanond.stats import SECONDS, Histogram

ASSUMED_FPS = 25.0
"""Until the first keyframe interval has been measured."""
WRONG_RATE = 0.2
"""Share by which the measured rate may differ before the encoder is opened anew; jitter stays well below."""
JITTER = 0.05
"""Share of a measured rate that the level takes for jitter: it is meant for the nominal rate."""
VBV_SECONDS = 0.5
"""How much the rate may be spread: a keyframe must reach a viewer with little more than the average bandwidth soon."""
TIME_BASE = Fraction(1, CLOCK_RATE)
LIMITED_RANGE = 1
"""AVCOL_RANGE_MPEG."""
COLOURS = {
    # (matrix, primaries, transfer): AVCOL_SPC_*, AVCOL_PRI_*, AVCOL_TRC_* (ITU-T H.273)
    ColourMatrix.BT601: (6, 6, 6),
    ColourMatrix.BT709: (1, 1, 1),
}


def video_frame(frame: AnonymisedFrame) -> VideoFrame:
    """The picture as FFmpeg sees it: shared memory where possible, never written to.

    libx264 copies its input before `encode` returns and keeps no reference (measured), so sharing is safe. PyAV's
    `from_numpy_buffer` cuts I420 heights that are no multiple of four (270 becomes 268), so those are copied.
    """
    if frame.height % 4 == 0:
        return VideoFrame.from_numpy_buffer(frame.i420, format="yuv420p")
    return VideoFrame.from_ndarray(frame.i420, format="yuv420p")


def timed(frame: AnonymisedFrame, timestamp: int, *, keyframe: bool) -> VideoFrame:
    """The picture with its time (90 kHz ticks), and with the wish for a keyframe or the choice left to the encoder."""
    picture = video_frame(frame)
    picture.pts = timestamp
    picture.time_base = TIME_BASE
    picture.pict_type = PictureType.I if keyframe else PictureType.NONE
    return picture


class Encoder:
    """Turns one camera's sealed frames into packets. Blocks, and belongs to one thread at a time.

    Whoever makes it closes it. After an EncodeError it may be used again: the next frame starts with an IDR.
    `fps` is what the source claims; 0 when unknown.
    """

    def __init__(self, camera: str, settings: Encode, *, clock: Clock, fps: float = 0.0) -> None:
        self._camera = camera
        self._settings = settings
        self._clock = clock
        self._fps = min(filter(None, (fps, settings.max_fps)), default=ASSUMED_FPS)
        self._context: VideoCodecContext | None = None
        self._shape: tuple[int, int, ColourMatrix] | None = None
        self._last = -1
        self._keyframe_at = 0
        self._measure = RateMeasure()
        self._level = h264.LEVELS[0]
        self._seconds = Histogram(*SECONDS)
        self._bytes = 0

    @property
    def encode_seconds(self) -> Histogram:
        """How long each frame took."""
        return self._seconds

    @property
    def bytes(self) -> int:
        """Bytes produced since the start."""
        return self._bytes

    @property
    def fps(self) -> float:
        """The rate by which bits are spread now: claimed or assumed at first, then measured."""
        return self._fps

    def encode(self, frame: AnonymisedFrame, *, keyframe: bool = False) -> list[EncodedPacket]:
        """The access unit of this frame (one, in a list: an encoder may in principle hold back).

        It is an IDR when asked for, when `keyframe_interval` has passed, and when size or colours changed.
        Raises TypeError for anything but a sealed frame and EncodeError when libx264 refuses.
        """
        frame = require_sealed(frame)
        began = self._clock.monotonic()
        timestamp = max(round(frame.captured * CLOCK_RATE), self._last + 1)
        shape = (frame.width, frame.height, frame.matrix)
        try:
            if self._context is None or self._shape != shape:
                self._open(shape)
                keyframe = True
            elif keyframe or self._keyframe_is_due(timestamp):
                keyframe = True
                self._correct_rate(shape)
            packets = self._encode(frame, timestamp, keyframe)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            self.close()
            raise EncodeError(
                f"camera {self._camera}: cannot encode {frame.width}x{frame.height} as H.264: {error}"
            ) from error
        self._last = timestamp
        if frame.verdict is Verdict.HELD:
            # Pictures that fill a gap come at a pace of their own.
            self._measure.restart()
        else:
            self._measure.add(timestamp)
        if keyframe:
            self._keyframe_at = timestamp
        self._seconds.observe(self._clock.monotonic() - began)
        return packets

    def close(self) -> None:
        """Frees the encoder; safe twice. Nothing is pending inside: every frame left at once."""
        self._context = None
        self._shape = None

    def _encode(self, frame: AnonymisedFrame, timestamp: int, keyframe: bool) -> list[EncodedPacket]:
        assert self._context is not None
        packets: list[EncodedPacket] = []
        for packet in self._context.encode(timed(frame, timestamp, keyframe=keyframe)):
            data = bytes(packet)
            if packet.is_keyframe:
                data = h264.join(_tidied(data))
            self._bytes += len(data)
            packets.append(
                EncodedPacket(
                    data=data,
                    keyframe=packet.is_keyframe,
                    timestamp=timestamp,
                    captured=frame.captured,
                    encoded=self._clock.monotonic(),
                    verdict=frame.verdict,
                    width=frame.width,
                    height=frame.height,
                )
            )
        return packets

    def _keyframe_is_due(self, timestamp: int) -> bool:
        since = timestamp - self._keyframe_at
        return since >= self._settings.keyframe_interval * CLOCK_RATE or self._measure.far_above(self._fps)

    def _correct_rate(self, shape: tuple[int, int, ColourMatrix]) -> None:
        measured = self._measure.rate()
        if measured is None:
            return
        self._measure.restart()
        too_low = self._level_for(shape, measured) > self._level
        if too_low or abs(measured - self._fps) > WRONG_RATE * self._fps:
            self._fps = measured
            self._open(shape)

    def _level_for(self, shape: tuple[int, int, ColourMatrix], fps: float) -> h264.Level:
        bitrate = self._settings.bitrate
        return h264.level_for(shape[0], shape[1], fps / (1 + JITTER), bitrate, int(bitrate * VBV_SECONDS))

    def _open(self, shape: tuple[int, int, ColourMatrix]) -> None:
        width, height, matrix = shape
        bitrate = self._settings.bitrate
        level = self._level_for(shape, self._fps)
        # Halves are fine enough.
        rate = Fraction(max(1, round(self._fps * 2)), 2)
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = TIME_BASE, rate
        context.bit_rate = bitrate
        context.thread_count = 1
        context.color_range = LIMITED_RANGE
        context.colorspace, context.color_primaries, context.color_trc = COLOURS[matrix]
        context.options = {
            "preset": self._settings.preset,
            "tune": "zerolatency",
            "profile": "baseline",
            "level": level.name,
            "refs": "1",
            "bf": "0",
            "maxrate": str(bitrate),
            "bufsize": str(int(bitrate * VBV_SECONDS)),
            "forced-idr": "1",
            "a53cc": "0",
            "x264-params": "keyint=infinite:scenecut=0:repeat-headers=1:annexb=1:log-level=error",
        }
        context.open()
        self._context, self._shape, self._level = context, shape, level
        self._measure.restart()


def _tidied(keyframe: bytes) -> Iterator[bytes]:
    """The NAL units of a keyframe, without what is of no use or not true."""
    for nal in h264.split(keyframe):
        match h264.nal_type(nal):
            case h264.NalType.SEI:
                # x264 writes its version and settings into every IDR: 700 bytes that help nobody.
                continue
            case h264.NalType.SPS:
                yield without_fixed_rate(nal)
            case _:
                yield nal
