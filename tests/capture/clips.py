"""Small videos for the tests, made with PyAV: any codec, pixel format, size, range and damage."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def pattern(width: int, height: int, index: int = 0) -> np.ndarray:
    """An RGB picture with a red left top, a green right top, a blue left bottom and a moving grey rest."""
    picture = np.full((height, width, 3), 90 + index % 60, np.uint8)
    picture[: height // 2, : width // 2] = (200, 40, 40)
    picture[: height // 2, width // 2 :] = (40, 180, 40)
    picture[height // 2 :, : width // 2] = (40, 40, 200)
    return picture


def write(
    path: Path,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    frames: int = 10,
    fps: int = 25,
    options: dict[str, str] | None = None,
    pause: tuple[int, int] = (0, 0),
    full: bool = False,
    matrix: int = 2,
) -> Path:
    """Writes a clip. `pause`: (index, pictures to leave out before it); `matrix`: FFmpeg's AVColorSpace."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.color_range = 2 if full else 1
        stream.codec_context.colorspace = matrix
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(pattern(*size, index), "rgb24")
            if pixels != "rgb24":
                frame = frame.reformat(
                    format=pixels,
                    dst_colorspace="ITU709" if matrix == 1 else "ITU601",
                    dst_color_range="JPEG" if full else "MPEG",
                )
            frame.pts = index + (pause[1] if index >= pause[0] else 0)
            frame.time_base = Fraction(1, fps)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def write_sound(path: Path) -> Path:
    """A file with sound and nothing else."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path
