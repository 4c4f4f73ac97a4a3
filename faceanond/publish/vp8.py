"""A camera's pictures once more in VP8, for viewers whose browser cannot decode H.264.

One picture in and one frame out, keyframes by time or when asked for, as with H.264. libvpx follows the frame rate by
itself, from the timestamps. The format names no matrix; players take it for BT.601, so that colours of a BT.709 camera
are a little off: turning every picture would cost more than half of what encoding costs, for something that nobody
notices without a comparison.
"""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext

from faceanond.anonymise.frame import AnonymisedFrame, require_sealed
from faceanond.clock import Clock
from faceanond.config.model import Encode
from faceanond.errors import EncodeError
from faceanond.publish.encoder import TIME_BASE, VBV_SECONDS, timed
from faceanond.publish.packet import CLOCK_RATE, Codec, EncodedPacket

SPEED = -8
"""libvpx's `cpu-used` in real time: as good as x264's superfast at the same bit rate (39.6 against 39.0 dB); -4 costs
two thirds more for 0.3 dB, -12 loses 2 dB for a fifth. Positive values would follow the machine's load."""
NEVER = 1_000_000
"""Frames between two keyframes that libvpx makes by itself; both limits alike switch its own choice off."""
USUAL_FPS = 25
"""What libvpx starts from, until timestamps tell."""


class Vp8Encoder:
    """Turns one camera's sealed frames into VP8 packets. Blocks, and belongs to one thread at a time.

    Whoever makes it closes it; it may be used again afterwards, and after an EncodeError: the next frame is a keyframe.
    """

    def __init__(self, camera: str, settings: Encode, *, clock: Clock) -> None:
        self._camera = camera
        self._settings = settings
        self._clock = clock
        self._context: VideoCodecContext | None = None
        self._size = (0, 0)
        self._last = -1
        self._keyframe_at = 0

    def encode(self, frame: AnonymisedFrame, *, keyframe: bool = False) -> list[EncodedPacket]:
        """The VP8 frame of this picture (one, in a list: an encoder may in principle hold back).

        It is a keyframe when asked for, when `keyframe_interval` has passed, and when the size changed. Raises
        TypeError for anything but a sealed frame and EncodeError when libvpx refuses.
        """
        frame = require_sealed(frame)
        timestamp = max(round(frame.captured * CLOCK_RATE), self._last + 1)
        size = (frame.width, frame.height)
        try:
            if self._context is None or self._size != size:
                self._context, self._size = self._opened(size), size
                keyframe = True
            elif timestamp - self._keyframe_at >= self._settings.keyframe_interval * CLOCK_RATE:
                keyframe = True
            packets = self._encode(self._context, frame, timestamp, keyframe)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            self.close()
            raise EncodeError(f"camera {self._camera}: cannot encode {size[0]}x{size[1]} as VP8: {error}") from error
        self._last = timestamp
        if keyframe:
            self._keyframe_at = timestamp
        return packets

    def close(self) -> None:
        """Frees the encoder; safe twice. Nothing is pending inside: every frame left at once."""
        self._context = None

    def _encode(
        self, context: VideoCodecContext, frame: AnonymisedFrame, timestamp: int, keyframe: bool
    ) -> list[EncodedPacket]:
        return [
            EncodedPacket(
                data=bytes(packet),
                keyframe=packet.is_keyframe,
                timestamp=timestamp,
                captured=frame.captured,
                encoded=self._clock.monotonic(),
                verdict=frame.verdict,
                width=frame.width,
                height=frame.height,
                codec=Codec.VP8,
            )
            for packet in context.encode(timed(frame, timestamp, keyframe=keyframe))
        ]

    def _opened(self, size: tuple[int, int]) -> VideoCodecContext:
        bitrate = self._settings.bitrate
        context = av.CodecContext.create("libvpx", "w")
        context.width, context.height, context.pix_fmt = *size, "yuv420p"
        context.time_base, context.framerate = TIME_BASE, Fraction(USUAL_FPS)
        context.bit_rate = bitrate
        context.gop_size = NEVER
        context.thread_count = 1
        context.options = {
            "deadline": "realtime",
            "cpu-used": str(SPEED),
            # Nothing is held back.
            "lag-in-frames": "0",
            "auto-alt-ref": "0",
            "keyint_min": str(NEVER),
            # A constant bit rate, and keyframes of half the buffer at most.
            "minrate": str(bitrate),
            "maxrate": str(bitrate),
            "bufsize": str(int(bitrate * VBV_SECONDS)),
            "rc_init_occupancy": str(int(bitrate * VBV_SECONDS / 2)),
            "undershoot-pct": "95",
            "overshoot-pct": "15",
            "qmin": "2",
            "qmax": "63",
            # Where nothing moves, nothing is encoded.
            "static-thresh": "1",
        }
        context.open()
        return context
