"""An anonymised file: sealed frames as H.264 in MP4 or Matroska, each at its own time.

Nothing of the input is copied, no metadata, no chapters, no data streams; audio only when asked for. The file appears
under its name when it is whole, so whatever crashes, nobody finds half of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
import structlog
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from faceanond.anonymise.frame import AnonymisedFrame, require_sealed
from faceanond.errors import FaceanondError, UnavailableError, UsageError
from faceanond.frames import ColourMatrix
from faceanond.publish.encoder import COLOURS, LIMITED_RANGE, TIME_BASE, video_frame
from faceanond.publish.packet import CLOCK_RATE

log = structlog.get_logger(__name__)

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
QUALITY = 20
"""x264's constant rate factor: hard to tell from the input at a third of its usual size."""
KEYFRAME_SECONDS = 4
"""So that a player may jump about quickly."""
USUAL_FPS = 25.0
_SPACES = {ColourMatrix.BT601: Colorspace.ITU601, ColourMatrix.BT709: Colorspace.ITU709}
_BLACK = (16, 128, 128)


class FileWriter:
    """Writes one file. Blocks, and belongs to one thread at a time; leaving its context finishes or discards the file.

    `fps` is the input's usual rate (0 when unknown): a hint, for each frame keeps its own `pts`. `audio_from` is a
    file whose audio is copied as it is. Raises UsageError for a suffix that is not in SUFFIXES or audio that the
    container cannot hold, UnavailableError when a file cannot be opened.
    """

    def __init__(
        self, path: Path, *, fps: float = 0.0, preset: str = "superfast", audio_from: Path | None = None
    ) -> None:
        self._path = path
        self._fps = fps if fps > 0 else USUAL_FPS
        self._preset = preset
        self._audio_from = audio_from
        if path.suffix.lower() not in SUFFIXES:
            raise UsageError(f"{path}: cannot write this kind of file; use one of {', '.join(SUFFIXES)}")
        # The process's number keeps two runs apart; the suffix tells FFmpeg the container.
        self._temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        try:
            self._temporary.open("wb").close()
        except OSError as error:
            raise UnavailableError(f"{path}: cannot be written: {error.strerror}") from None
        self._container: OutputContainer | None = None
        self._video: VideoStream | None = None
        self._audio: _Audio | None = None
        self._matrix = ColourMatrix.BT709
        self._last = -1
        self._frames = 0

    @property
    def frames(self) -> int:
        """Pictures written so far."""
        return self._frames

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard()

    def write(self, frame: AnonymisedFrame) -> None:
        """Adds a picture at `frame.pts`. One of another size than the first is fitted into that, with black bars.

        Raises TypeError for anything but a sealed frame, FaceanondError when it cannot be written.
        """
        frame = require_sealed(frame)
        try:
            if self._video is None:
                self._open(frame)
            assert self._video is not None
            picture = self._fitted(frame, self._video)
            picture.pts = self._last = max(round(frame.pts * CLOCK_RATE), self._last + 1)
            picture.time_base = TIME_BASE
            self._mux(self._video.encode(picture))
            if self._audio is not None:
                self._mux(self._audio.until(frame.pts))
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        self._frames += 1

    def close(self) -> None:
        """Finishes the file and gives it its name; nothing after `discard` or a first `close`.

        Raises FaceanondError when there is no picture in it or it cannot be finished; then there is no file.
        """
        container, self._container = self._container, None
        if container is None:
            if self._temporary.exists():
                self.discard()
                raise FaceanondError(f"{self._path}: there was no picture to write")
            return
        assert self._video is not None
        try:
            container.mux(self._video.encode(None))
            if self._audio is not None:
                container.mux(list(self._audio.until(float("inf"))))
                self._audio.close()
            container.close()
            with self._temporary.open("rb") as file:
                os.fsync(file.fileno())
            self._temporary.replace(self._path)
        except (av.FFmpegError, OSError) as error:
            self._container = container
            self.discard()
            raise self._failed(error) from error

    def discard(self) -> None:
        """Throws away what was written; safe twice."""
        container, self._container = self._container, None
        if self._audio is not None:
            self._audio.close()
        try:
            if container is not None:
                container.close()
        except (av.FFmpegError, OSError) as error:
            log.debug("unfinished file not closed cleanly", reason=str(error))
        self._temporary.unlink(missing_ok=True)

    def _open(self, first: AnonymisedFrame) -> None:
        options = {"fflags": "+bitexact"}
        if self._path.suffix.lower() != ".mkv":
            options["video_track_timescale"] = str(CLOCK_RATE)
        # "file:" keeps FFmpeg from taking a name for one of its many protocols.
        container = self._container = av.open(f"file:{self._temporary}", "w", options=options)
        rate = Fraction(self._fps).limit_denominator(1001)
        video = container.add_stream("libx264", rate=rate)
        assert isinstance(video, VideoStream)
        context = video.codec_context
        context.width, context.height, context.pix_fmt = first.width, first.height, "yuv420p"
        context.time_base = TIME_BASE
        context.color_range = LIMITED_RANGE
        context.colorspace, context.color_primaries, context.color_trc = COLOURS[first.matrix]
        context.gop_size = max(1, round(self._fps * KEYFRAME_SECONDS))
        context.options = {"preset": self._preset, "crf": str(QUALITY)}
        if self._audio_from is not None:
            self._audio = _Audio(self._audio_from)
            try:
                self._audio.copy_to(container)
                container.start_encoding()
            except (av.FFmpegError, ValueError) as error:
                raise UsageError(
                    f"{self._path}: audio of the kind {', '.join(self._audio.codecs)} does not fit into "
                    f"{self._path.suffix}; use .mkv or .mov, or leave out --keep-audio"
                ) from error
        self._video, self._matrix = video, first.matrix

    def _fitted(self, frame: AnonymisedFrame, video: VideoStream) -> VideoFrame:
        picture = video_frame(frame)
        width, height = video.codec_context.width, video.codec_context.height
        if (frame.width, frame.height, frame.matrix) == (width, height, self._matrix):
            return picture
        scale = min(width / frame.width, height / frame.height)
        inner = max(2, int(frame.width * scale) // 2 * 2), max(2, int(frame.height * scale) // 2 * 2)
        scaled = picture.reformat(
            *inner, "yuv420p", src_colorspace=_SPACES[frame.matrix], dst_colorspace=_SPACES[self._matrix]
        )
        left, top = (width - inner[0]) // 4 * 2, (height - inner[1]) // 4 * 2
        i420 = np.empty((height * 3 // 2, width), np.uint8)
        for plane, target, black, half in zip(
            _planes(scaled.to_ndarray(), *inner), _planes(i420, width, height), _BLACK, (1, 2, 2), strict=True
        ):
            rows, columns = plane.shape
            target[:] = black
            target[top // half : top // half + rows, left // half : left // half + columns] = plane
        return VideoFrame.from_ndarray(i420, format="yuv420p")

    def _mux(self, packets: Iterable[Packet[Any]]) -> None:
        assert self._container is not None
        for packet in packets:
            self._container.mux(packet)

    def _failed(self, error: Exception) -> FaceanondError:
        detail = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return FaceanondError(f"{self._path}: cannot be written: {detail}")


def _planes(i420: NDArray[Any], width: int, height: int) -> tuple[NDArray[Any], ...]:
    """Y, U and V as views into one I420 picture of even size."""
    flat, luma, chroma = i420.reshape(-1), width * height, width * height // 4
    half = (height // 2, width // 2)
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(half),
        flat[luma + chroma :].reshape(half),
    )


class _Audio:
    """The audio of the input, packet by packet, on the output's time line: zero is the first picture."""

    def __init__(self, path: Path) -> None:
        try:
            self._container: InputContainer = av.open(f"file:{path}")
        except (av.FFmpegError, OSError) as error:
            raise UnavailableError(f"{path}: its audio cannot be read: {error.strerror}") from None
        video = next(iter(self._container.streams.video), None)
        self._start = Fraction(0)
        if video is not None and video.start_time is not None and video.time_base is not None:
            self._start = video.start_time * video.time_base
        self.codecs = [stream.codec_context.name for stream in self._container.streams.audio]
        self._streams: dict[int, AudioStream] = {}
        self._packets: Iterator[Packet[Any]] = iter(())
        self._next: Packet[Any] | None = None

    def copy_to(self, output: OutputContainer) -> None:
        """Adds streams like its own to the output. Raises what PyAV raises when the container cannot hold them."""
        for stream in self._container.streams.audio:
            copy = output.add_stream_from_template(stream)
            copy.metadata.clear()
            self._streams[stream.index] = copy
        if self._streams:
            self._packets = self._container.demux(*self._container.streams.audio)

    def until(self, time: float) -> Iterator[Packet[Any]]:
        """The packets that start up to this time, in seconds after the first picture."""
        while True:
            packet = self._next if self._next is not None else next(self._packets, None)
            if packet is None:
                return
            self._next = None
            if packet.pts is None or packet.dts is None:
                continue
            at = packet.pts * packet.time_base - self._start
            if at > time:
                self._next = packet
                return
            if at < 0:
                continue
            shift = round(self._start / packet.time_base)
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = self._streams[packet.stream.index]
            yield packet

    def close(self) -> None:
        """Safe twice."""
        self._container.close()
