"""One camera's recorder: from its stream to files, as long as the disk takes them.

The rule: it reads like a viewer, with a ring of its own, so a slow disk costs the recording some pictures and nobody
else anything. A file starts at a keyframe. What goes wrong ends the current file, is counted and told, and is tried
again with growing pauses; the stream goes on all the while.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from faceanond.attempt import attempt
from faceanond.backoff import Backoff
from faceanond.clock import Clock
from faceanond.config.record import RecordOptions
from faceanond.errors import RecordFault
from faceanond.publish import fmp4, h264
from faceanond.publish.h264 import ParameterSets
from faceanond.publish.packet import CLOCK_RATE, EncodedPacket
from faceanond.publish.record.disk import Disk, SegmentFile
from faceanond.publish.record.faults import RecordError, explained
from faceanond.publish.record.index import Index, Segment
from faceanond.publish.record.names import Name
from faceanond.publish.record.threads import PARTING, DiskThreads
from faceanond.publish.stream import Reader, Role, Room, Stream, StreamClosedError
from faceanond.ratelimit import RateLimited
from faceanond.status import RecordState

log = structlog.get_logger(__name__)

T = TypeVar("T")

FLUSH = 1.0
"""Seconds of pictures in one write: what a crash costs."""
PATIENCE = 10.0
"""Seconds that a write may take before the disk counts as hanging: one that has to spin up needs five."""
ROOM = Room(packets=400, size=8 * 1024 * 1024)
"""16 s at 25 fps and 32 s at the default bit rate: more than the patience, so a disk that pauses costs nothing."""
LAST_PICTURE = CLOCK_RATE // 25
"""Ticks for which the very last picture is shown, when there is no other to measure it by."""
SHORTEST = 0.1
"""Seconds: less than that makes no file. It is a slate of another size, before a camera's first picture."""
QUIET = 60.0
"""Seconds between two lines in the log about pictures that a slow disk cost."""


class Recorder:
    """Records one camera until its stream ends. `stray` takes files that could not be closed; `tidy` asks for room."""

    def __init__(
        self,
        stream: Stream,
        settings: RecordOptions,
        *,
        disk: Disk,
        threads: DiskThreads,
        index: Index,
        clock: Clock,
        stray: Callable[[SegmentFile], None],
        tidy: Callable[[], None],
        patience: float = PATIENCE,
    ) -> None:
        self.camera = stream.camera
        self.state = RecordState.STARTING
        self.last_error: str | None = None
        self.failures: Counter[str] = Counter()
        self.written = 0
        """Bytes since the start."""
        self.lost = 0
        """Pictures that are missing because the disk was too slow, or failed under them."""
        self._stream = stream
        self._settings = settings
        self._disk = disk
        self._threads = threads
        self._index = index
        self._clock = clock
        self._stray = stray
        self._tidy = tidy
        self._patience = patience
        self._slow = RateLimited[int](interval=QUIET)

    async def run(self) -> None:
        """Ends with the stream. Cancelled, it closes the current file first, within a few seconds."""
        backoff = Backoff()
        while True:
            started = self._clock.monotonic()
            error = await attempt(self._read(), name=f"recording:{self.camera}")
            if isinstance(error, StreamClosedError):
                return
            delay = backoff.failed(self._clock.monotonic() - started)
            if not isinstance(error, RecordError):
                log.error("recording failed", camera=self.camera, exc_info=error)
                error = RecordError(RecordFault.INTERNAL, "recording failed")
            self.failed(error, delay)
            await self._clock.sleep(delay)

    async def _read(self) -> None:
        async with self._stream.subscribe("record", role=Role.RECORDING, room=ROOM) as reader:
            await self._record(reader)

    def failed(self, error: RecordError, retry_in: float) -> None:
        """Counts a failure and tells of it."""
        self.failures[error.fault.value] += 1
        if self.state is not RecordState.FAILING or str(error) != self.last_error:
            log.error(
                "not recording",
                camera=self.camera,
                reason=error.fault.value,
                detail=str(error),
                retry_in=round(retry_in, 1),
            )
        self.state, self.last_error = RecordState.FAILING, str(error)
        self._tidy()

    async def _record(self, reader: Reader) -> None:
        """One honest attempt. Raises RecordError, or StreamClosedError at the end."""
        current: _Current | None = None
        seen = 0
        try:
            while True:
                packet = await reader.get()
                if type(packet) is not EncodedPacket:
                    raise TypeError(f"only an EncodedPacket may be recorded, not {type(packet).__name__}")
                if current is not None and packet.keyframe and self._is_over(current, packet):
                    await self._end(current, packet.timestamp)
                    current = None
                if current is None:
                    current = self._begin(packet)
                current.batch.append(packet)
                if packet.timestamp - current.batch[0].timestamp >= FLUSH * CLOCK_RATE:
                    await self._flush(current, packet.timestamp, len(current.batch) - 1)
                if reader.dropped > seen:
                    self._lose(reader.dropped - seen, current)
                    seen = reader.dropped
        except (StreamClosedError, asyncio.CancelledError):
            if current is not None:
                await self._complete(current)
            raise
        except BaseException:
            if current is not None:
                self._set_aside(current)
            raise

    def _begin(self, keyframe: EncodedPacket) -> _Current:
        sets = h264.parameter_sets(keyframe.data)
        if sets is None:
            raise ValueError("a keyframe without parameter sets")
        # Whatever is too old or too much goes before more is added.
        self._tidy()
        # By its time stamp: the picture before may have been a slate that was made after this one was captured.
        start = self._clock.wall() - (self._clock.monotonic() - keyframe.timestamp / CLOCK_RATE)
        return _Current(Name(self.camera, max(0, round(start * 1000))), keyframe, sets)

    def _is_over(self, current: _Current, keyframe: EncodedPacket) -> bool:
        """Whether a new file begins: it is time, or a decoder that began with the file could not go on."""
        return (
            keyframe.timestamp - current.origin >= self._settings.segment * CLOCK_RATE
            or (keyframe.width, keyframe.height) != current.picture
            or _demands(h264.parameter_sets(keyframe.data)) != _demands(current.sets)
        )

    def _lose(self, pictures: int, current: _Current) -> None:
        """Pictures of the current file that the ring had no room for, because the disk took so long."""
        current.lost += pictures
        self.lost += pictures
        if self._slow.note(pictures, self._clock.monotonic()):
            log.warning("the disk is too slow for a recording", camera=self.camera, lost=self.lost)

    async def _flush(self, current: _Current, end: int, count: int) -> None:
        """Writes so many pictures of the batch, the last of which lasts until `end` (ticks). Raises RecordError."""
        try:
            await self._on_disk(current.writing(self._disk, end, count), self._patience)
        finally:
            # Also when this task was cancelled while the thread wrote.
            self._account(current)

    async def _end(self, current: _Current, end: int) -> None:
        """The rest of the pictures, and the end of the file. Raises RecordError."""
        if not current.file.fragments and end - current.origin < SHORTEST * CLOCK_RATE:
            return
        if current.batch:
            await self._flush(current, end, len(current.batch))
        finished = await self._on_disk(partial(self._disk.finish, current.file), self._patience)
        self._index.close(self.camera)
        if finished is not None:
            self._index.add(replace(finished, lost=current.lost))

    async def _complete(self, current: _Current) -> None:
        """The end of a file because the stream or the daemon ends. What is not closed in time is the next start's."""
        batch = current.batch
        write = current.writing(self._disk, current.expected_end(), len(batch)) if batch else None
        job = partial(_write_and_finish, self._disk, current.file, write)
        try:
            finished = await self._on_disk(job, PARTING)
        except RecordError as error:
            log.warning("a recording was not closed", camera=self.camera, reason=error.fault.value, detail=str(error))
            self._set_aside(current)
            return
        self._index.close(self.camera)
        if finished is not None:
            self._index.add(replace(finished, lost=current.lost))

    def _account(self, current: _Current) -> None:
        """Tells the index what is on disk by now."""
        file = current.file
        if not current.take_written():
            return
        self.written += file.size - current.counted
        current.counted = file.size
        self._index.grow(Segment(file.name, file.end, file.size, complete=False, lost=current.lost))
        if self.state is not RecordState.RECORDING:
            if self.state is RecordState.FAILING:
                log.info("recording again", camera=self.camera)
            self.state, self.last_error = RecordState.RECORDING, None

    def _set_aside(self, current: _Current) -> None:
        """Somebody else closes the file, as soon as the disk lets them; what was not written is lost."""
        self.lost += len(current.batch)
        self._index.close(self.camera)
        self._stray(current.file)

    async def _on_disk(self, job: Callable[[], T], timeout: float) -> T:
        try:
            return await self._threads.run(job, timeout=timeout)
        except OSError as error:
            raise explained(error, self._disk.directory) from error


class _Current:
    """The file that is being written, and the pictures that are not yet in it."""

    def __init__(self, name: Name, keyframe: EncodedPacket, sets: ParameterSets) -> None:
        self.file = SegmentFile(name)
        self.origin = keyframe.timestamp
        self.picture = (keyframe.width, keyframe.height)
        self.sets = sets
        self.batch: list[EncodedPacket] = []
        self.lost = 0
        self.counted = 0
        """Bytes of the file that were looked at."""
        self._sequence = 0
        self._asked = 0

    def writing(self, disk: Disk, end: int, count: int) -> Callable[[], None]:
        """The job that puts so many pictures of the batch into the file."""
        self._sequence, self._asked = self.file.fragments + 1, count
        return partial(self._write, disk, tuple(self.batch[:count]), self._sequence, end)

    def take_written(self) -> bool:
        """Whether that job has done its work; then its pictures are no longer in the batch."""
        if self.file.fragments != self._sequence:
            return False
        del self.batch[: self._asked]
        self._asked = 0
        return True

    def expected_end(self) -> int:
        """When the last picture of the batch would be followed by another one (ticks)."""
        times = [packet.timestamp for packet in self.batch[-2:]]
        return times[-1] + (times[-1] - times[0] if len(times) > 1 else LAST_PICTURE)

    def _write(self, disk: Disk, packets: tuple[EncodedPacket, ...], sequence: int, end: int) -> None:
        head = fmp4.init_segment(self.sets, *self.picture) if sequence == 1 else b""
        fragment = fmp4.fragment(sequence, packets, origin=self.origin, end=end)
        length = (end - self.origin) * 1000 // CLOCK_RATE
        disk.write(self.file, head, fragment, length=length)


def _demands(sets: ParameterSets | None) -> object:
    """What a decoder must be able to do. The rate is in the SPS, too, but it changes often and decodes nothing."""
    return None if sets is None else (sets.profile_level_id, sets.pps)


def _write_and_finish(disk: Disk, file: SegmentFile, write: Callable[[], None] | None) -> Segment | None:
    if write is not None:
        write()
    return disk.finish(file)
