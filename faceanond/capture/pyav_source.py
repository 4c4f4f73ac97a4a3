"""Cameras, streams, devices and files through FFmpeg: everything that FFmpeg decodes becomes a `RawFrame`.

The thread that calls `open` and `read` may block in FFmpeg for as long as the network waits that options.py allows;
`interrupt` is seen between packets. No error and no repr shows the URL that FFmpeg was given.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import av
import av.error
import structlog
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from faceanond.capture import network
from faceanond.capture.access_units import PictureJoiner
from faceanond.capture.errors import Doing, translate
from faceanond.capture.gaps import GapDetector
from faceanond.capture.h264 import ReferenceCounter
from faceanond.capture.options import PATIENCE, Target
from faceanond.capture.pacing import Pacer
from faceanond.capture.planes import PlaneMaker
from faceanond.capture.source import StreamInfo
from faceanond.capture.suspicion import Reason, Suspicion
from faceanond.capture.timestamps import Timeline
from faceanond.clock import Clock
from faceanond.errors import SourceError, SourceFault
from faceanond.frames import FrameId, RawFrame

log = structlog.get_logger(__name__)

MOST_PIXELS = 139_264 * 256
"""H.264's largest picture (level 6.2, in macroblocks of 256): a larger one could be decoded but never published."""
SMALLEST, LARGEST = 16, 8192
"""Sides of a picture in pixels. Nothing outside is a camera, and one picture of 16384x16384 takes 400 MB."""
MAX_ERRORS = 50
"""Packets in a row that cannot be decoded before the stream is given up: two seconds at 25 fps."""
ONE_THREAD = 1920 * 1088
"""Pictures up to this many pixels are decoded by one thread: each further one holds several pictures of memory and
delays the stream by one picture, and forty cameras share the processor anyway."""
MORE_THREADS = 4
AHEAD = 3.0
"""Seconds that an HTTP stream may run ahead of its own clock: a server may send what it kept, but not a whole film
at once."""
UNTIMED = frozenset({"mpjpeg", "mjpeg", "h264", "hevc", "m4v", "obu"})
"""Formats without timestamps of their own: FFmpeg invents 25 fps, so live pictures get their time of arrival."""


class PyAvSource:
    """One connection. `live=False`: every picture, unpaced, and the errors of a file are errors; see `Source`."""

    def __init__(
        self,
        name: str,
        target: Target,
        *,
        generation: int,
        clock: Clock,
        timeout: float,
        live: bool = True,
        pacer: Pacer | None = None,
    ) -> None:
        self._name = name
        self._target = target
        self._generation = generation
        self._clock = clock
        self._timeout = timeout
        self._live = live
        self._loops = live and not target.realtime
        self._pacer = pacer if pacer is not None else Pacer(clock, longest=timeout / 2)
        self._planes = PlaneMaker()
        self._connection = network.Connection(target.host, target.port)
        self._container: InputContainer | None = None
        self._packets: Iterator[Packet[VideoStream]] = iter(())
        self._ready: deque[tuple[av.VideoFrame, float, Reason | None]] = deque()
        self._first: RawFrame | None = None
        self._index = 0
        self._size: tuple[int, int] | None = None
        self._errors_in_a_row = 0
        self._errors = 0

    def __repr__(self) -> str:
        return f"PyAvSource({self._name!r}, {self._target.shown!r})"

    @property
    def errors(self) -> int:
        """Packets that could not be decoded."""
        return self._errors

    def open(self) -> StreamInfo:
        """Connects and decodes the first picture, which `read` then returns. Raises SourceError."""
        self._check_place()
        stream = self._connect()
        self._timeline = Timeline(live=self._live and self._target.realtime, step=_interval(stream))
        self._first = self._next(Doing.WAITING)
        if self._first is None:
            late = self._pacer.stopped
            raise self._error(
                SourceFault.NO_FRAMES, "connected, but no picture came in time" if late else "no picture could be read"
            )
        self._size = self._first.size
        container = cast(InputContainer, self._container)
        return StreamInfo(
            codec=stream.codec_context.name,
            width=self._first.width,
            height=self._first.height,
            fps=_rate(stream),
            live=self._live,
            frames=0 if self._target.realtime else _frames(container, stream),
            duration=0.0 if self._target.realtime else (container.duration or 0) / av.time_base,
        )

    def read(self) -> RawFrame | None:
        """The next picture; None at the end, or after an interrupt. Raises SourceError."""
        frame, self._first = self._first, None
        if frame is None:
            frame = self._next(Doing.READING)
        if frame is None:
            return None
        if frame.size != self._size:
            raise self._resized(frame)
        return frame

    def interrupt(self) -> None:
        """Ends the wait between two pictures, and a blocking network call where the connection is known."""
        self._pacer.stop()
        self._connection.shut()

    def close(self) -> None:
        self._packets = iter(())
        self._ready.clear()
        self._first = None
        container, self._container = self._container, None
        if container is not None:
            container.close()
        self._connection.forget()

    # -- connecting

    def _check_place(self) -> None:
        """The clear errors that FFmpeg would blur: names that do not resolve, files that are none."""
        if self._target.host is not None:
            try:
                self._connection.resolve()
            except OSError:
                reason = f'the host name "{self._target.host}" cannot be resolved'
            else:
                return
            raise self._error(SourceFault.UNREACHABLE, reason)
        path = Path(self._target.url.removeprefix("file:"))
        if not path.exists():
            raise self._error(SourceFault.NOT_FOUND, "there is no such file or device")
        if path.is_dir():
            raise self._error(SourceFault.NOT_VIDEO, "this is a directory, not a video")
        if not os.access(path, os.R_OK):
            raise self._error(SourceFault.UNAUTHORISED, "this process may not read it")
        if self._target.format == "v4l2" and not path.is_char_device():
            raise self._error(SourceFault.NOT_VIDEO, "this is not a video device")

    def _connect(self) -> VideoStream:
        outcome = self._try_connect()
        if isinstance(outcome, SourceError):
            raise outcome
        self._suspicion = Suspicion()
        name = outcome.codec_context.name
        intra_only = outcome.codec_context.codec.intra_only
        self._refreshes = intra_only or name != "h264"
        self._counter = ReferenceCounter(outcome.codec_context.extradata or b"") if name == "h264" else None
        # Only RTSP servers cut pictures; other formats hold whole ones, and not with start codes.
        joins = name == "h264" and self._target.format == "rtsp"
        self._joiner: PictureJoiner[Packet[VideoStream]] | None = PictureJoiner() if joins else None
        self._gaps = GapDetector() if self._target.lossy and not intra_only and name != "h264" else None
        return outcome

    def _try_connect(self) -> VideoStream | SourceError:
        """Returns errors instead of raising them, so that no traceback holds the URL among its locals."""
        target = self._target
        began = self._clock.monotonic()
        with self._connection.opening():
            try:
                container = av.open(target.url, format=target.format, container_options=dict(target.options))
            except (av.error.FFmpegError, OSError) as error:
                took = self._clock.monotonic() - began
                return translate(error, Doing.OPENING, target.shown, timeout=self._patience, took=took)
            except ValueError:
                # PyAV's own words for what it cannot name; a file of another kind, mostly.
                return self._error(SourceFault.NOT_VIDEO, "what came is not a video that can be read")
        self._container = container
        return self._choose(container)

    def _choose(self, container: InputContainer) -> VideoStream | SourceError:
        """The stream that holds the video, if there is one and it came from where it should."""
        if self._target.format == "rtsp" and self._connection.went_elsewhere():
            return self._error(
                SourceFault.UNREACHABLE, "the connection is gone, or leads to another host, which is refused (redirect)"
            )
        if not container.streams.video:
            return self._error(SourceFault.NOT_VIDEO, "there is no video in it, only sound or data")
        stream = container.streams.video[0]
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        if stream.disposition & Disposition.attached_pic:
            return self._error(SourceFault.NOT_VIDEO, "there is no video in it, only a cover picture")
        # The stubs promise a context, but a stream of an unknown codec has none.
        if cast(object, stream.codec_context) is None:
            return self._error(SourceFault.NOT_VIDEO, "the video's codec is not supported")
        return self._prepare(container, stream)

    def _prepare(self, container: InputContainer, stream: VideoStream) -> VideoStream | SourceError:
        """Sets the decoder up."""
        context = stream.codec_context
        if context.width:
            wrong = self._absurd(context.width, context.height)
            if wrong is not None:
                return wrong
        # Without the limit a small hostile packet could make the decoder ask for gigabytes.
        context.options = {"max_pixels": str(LARGEST * LARGEST)}
        if context.name == "mjpeg":
            # Else a picture that ends half-way is filled up with grey and passes for whole.
            context.options["err_detect"] = "explode"
        many = context.width * context.height > ONE_THREAD or not self._live
        context.thread_type = ThreadType.AUTO if many else ThreadType.NONE
        context.thread_count = min(MORE_THREADS, os.cpu_count() or 1) if many else 1
        self._packets = container.demux(stream)
        self._untimed = self._target.realtime and container.format.name in UNTIMED
        self._pictures = 0
        return stream

    # -- reading

    def _next(self, doing: Doing) -> RawFrame | None:
        while not self._pacer.stopped:
            if self._ready:
                return self._make(*self._ready.popleft())
            packet = self._demux(doing)
            if packet is not None:
                for whole in self._whole(packet):
                    self._decode(whole)
            elif not self._ready and not self._again():
                return None
        return None

    def _demux(self, doing: Doing) -> Packet[VideoStream] | None:
        """The next packet; None at the end. Its last packets are empty: they fetch what the decoder still holds."""
        began = self._clock.monotonic()
        try:
            return next(self._packets, None)
        except (av.error.FFmpegError, OSError) as error:
            took = self._clock.monotonic() - began
            failure = translate(error, doing, self._target.shown, timeout=self._patience, took=took)
        if self._pacer.stopped:
            # The connection was shut from here: what FFmpeg calls it does not matter.
            return None
        raise failure

    def _whole(self, packet: Packet[VideoStream]) -> Iterator[Packet[VideoStream]]:
        """The packet, or what can be decoded now in its place; see access_units.py."""
        if self._joiner is None:
            yield packet
        elif packet.size:
            yield from map(_joined, self._joiner.push(packet))
        else:
            yield from map(_joined, self._joiner.flush())
            yield packet

    def _decode(self, packet: Packet[VideoStream]) -> None:
        arrived = self._clock.monotonic()
        if packet.size:
            self._inspect(packet)
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, OSError) as error:
            frames = []
            kind = type(error).__name__
        else:
            kind = ""
        if kind:
            self._damaged(kind)
        elif frames:
            self._errors_in_a_row = 0
        for frame in frames:
            self._ready.append((frame, arrived, self._judge(frame)))

    def _inspect(self, packet: Packet[VideoStream]) -> None:
        """What the packet itself tells about loss, before it is decoded."""
        refresh = self._refreshes
        if self._counter is not None:
            seen = self._counter.packet(bytes(packet))
            refresh = seen.refresh
            if seen.lost:
                self._suspicion.doubt("gap")
        self._suspicion.packet(keyframe=packet.is_keyframe, pts=packet.pts, refresh=refresh)
        if packet.is_corrupt:
            self._suspicion.doubt("corrupt")

    def _judge(self, frame: av.VideoFrame) -> Reason | None:
        """Why this picture may not be believed."""
        # The stubs deny it, but a picture may come without a time.
        time = cast("float | None", frame.time)
        if self._gaps is not None and time is not None and self._gaps.gap(time) and not frame.key_frame:
            self._suspicion.doubt("gap")
        reason = self._suspicion.picture(keyframe=frame.key_frame, pts=frame.pts)
        if frame.is_corrupt:
            self._suspicion.doubt("corrupt")
            return "corrupt"
        return reason

    def _damaged(self, kind: str) -> None:
        self._errors += 1
        self._errors_in_a_row += 1
        self._suspicion.doubt("corrupt")
        if self._errors_in_a_row == 1:
            log.debug("packet not decoded", camera=self._name, error=kind, errors=self._errors)
        if self._errors_in_a_row >= MAX_ERRORS:
            raise self._error(SourceFault.CORRUPT, f"{MAX_ERRORS} packets in a row could not be decoded")

    def _make(self, frame: av.VideoFrame, arrived: float, suspect: Reason | None) -> RawFrame | None:
        wrong = self._absurd(frame.width, frame.height)
        if wrong is not None:
            raise wrong
        picture = self._planes.picture(frame)
        time = cast("float | None", frame.time)
        pts = self._timeline.next(None if self._untimed else time, arrived)
        if self._live and not self._pacer.until(pts, ahead=AHEAD if self._target.realtime else 0.0):
            return None
        self._pictures += 1
        index, self._index = self._index, self._index + 1
        return RawFrame(
            id=FrameId(self._name, self._generation, index),
            y=picture.y,
            u=picture.u,
            v=picture.v,
            full_range=picture.full_range,
            matrix=picture.matrix,
            captured=arrived if self._target.realtime else self._clock.monotonic(),
            pts=pts,
            suspect=suspect,
            owner=picture.owner,
        )

    def _again(self) -> bool:
        """At the end of a file that loops: begins anew."""
        if not self._loops:
            return False
        if not self._pictures:
            raise self._error(SourceFault.NO_FRAMES, "no picture could be read")
        self.close()
        self._connect()
        self._timeline.restart()
        return True

    # -- errors

    @property
    def _patience(self) -> float:
        return self._timeout * PATIENCE

    def _absurd(self, width: int, height: int) -> SourceError | None:
        if min(width, height) >= SMALLEST and max(width, height) <= LARGEST and width * height <= MOST_PIXELS:
            return None
        reason = f"a picture of {width}x{height} pixels; each side must be from {SMALLEST} to {LARGEST}"
        reason += "" if max(width, height) > LARGEST else f", and all at most {MOST_PIXELS}"
        return self._error(SourceFault.NOT_VIDEO, reason)

    def _resized(self, frame: RawFrame) -> SourceError:
        """A new size is a new stream: the supervisor opens it anew. In a file that is to be kept whole, an error."""
        before = f"{self._size[0]}x{self._size[1]}" if self._size else "nothing"
        fault = SourceFault.ENDED if self._live else SourceFault.CORRUPT
        return self._error(fault, f"the picture's size changed from {before} to {frame.width}x{frame.height}")

    def _error(self, fault: SourceFault, reason: str) -> SourceError:
        return SourceError(fault, f"{self._target.shown}: {reason}")


def _joined(pieces: Sequence[Packet[VideoStream]]) -> Packet[VideoStream]:
    """One packet out of the pieces of one picture."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    whole = cast("Packet[VideoStream]", Packet(b"".join(bytes(piece) for piece in pieces)))
    timed = next((piece for piece in pieces if piece.pts is not None), first)
    whole.stream, whole.time_base, whole.pts, whole.dts = first.stream, first.time_base, timed.pts, timed.dts
    whole.is_keyframe = True
    whole.is_corrupt = any(piece.is_corrupt for piece in pieces)
    return whole


def _rate(stream: VideoStream) -> float:
    """Pictures a second by the stream's own claim; 0 when it makes none that can be true."""
    for claim in (stream.average_rate, stream.guessed_rate):
        if claim is not None and 0 < claim <= 1000:
            return float(claim)
    return 0.0


def _interval(stream: VideoStream) -> float:
    rate = _rate(stream)
    return 1 / rate if rate else 0.0


def _frames(container: InputContainer, stream: VideoStream) -> int:
    """How many pictures a file holds: as it says, else by its length."""
    if stream.frames:
        return stream.frames
    return round((container.duration or 0) / av.time_base * _rate(stream))
