"""All recordings of one daemon: the recorders, what is on disk, and what has to go from it.

First the folder is locked and read, which also closes what a crash left behind; only then does recording start. A
folder that cannot be used is told and tried again, while everything else in the daemon goes on.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from faceanond.attempt import attempt
from faceanond.backoff import Backoff
from faceanond.clock import Clock
from faceanond.config.record import Record, RecordOptions
from faceanond.errors import RecordFault
from faceanond.publish.record.disk import Disk, SegmentFile
from faceanond.publish.record.faults import RecordError, explained
from faceanond.publish.record.index import Index, Segment
from faceanond.publish.record.names import Name
from faceanond.publish.record.playback import Playback
from faceanond.publish.record.recorder import PATIENCE, Recorder
from faceanond.publish.record.retention import Due, due
from faceanond.publish.record.threads import DiskThreads
from faceanond.publish.stream import Stream
from faceanond.ratelimit import RateLimited
from faceanond.status import RecordState, RecordStatus

log = structlog.get_logger(__name__)

WRITERS = 4
"""Threads that write: one disk is not faster with more, and so many may hang."""
READERS = 2
"""Threads that read for those who watch recordings, so that these do not wait for writers, or writers for them."""
CHECK_EVERY = 10.0
"""Seconds between two looks at age, size and space."""
SCAN_PATIENCE = 30.0
"""Seconds that reading the folder may take before that is told; it goes on all the same."""
DELETE_AT_ONCE = 200
"""Files deleted by one job, so that it is over in time."""
MOST_STRAYS = 64
"""Files that could not be closed and are tried again; beyond that the oldest are left to the next start, open as they
are: a thread may still hang in one."""


class Recordings:
    """Made and run by the daemon. Nothing of it waits for the disk but `run` and a playback's `read`."""

    def __init__(self, settings: Record, cameras: Mapping[str, RecordOptions], *, clock: Clock) -> None:
        self._settings = settings
        self._cameras = cameras
        self._clock = clock
        self._disk = Disk(settings.directory, min_free=settings.min_free)
        self._index = Index()
        self._recorders: dict[str, Recorder] = {}
        self._deleted: dict[str, Counter[str]] = {}
        self._strays: list[SegmentFile] = []
        self._is_open = False
        self._untidy = asyncio.Event()
        self._written = 0
        self._undeletable = RateLimited[str](interval=60.0)
        self._readers: DiskThreads | None = None

    async def run(self, streams: Mapping[str, Stream]) -> None:
        """Records these streams, and keeps the folder tidy, until cancelled; then closes every file within seconds."""
        if not streams and not self._settings.model_fields_set:
            # Nobody said anything about recordings. What is in the default folder may be another configuration's.
            return
        writers, self._readers = DiskThreads("record", WRITERS), DiskThreads("playback", READERS)
        self._recorders = {
            name: Recorder(
                stream,
                self._cameras[name],
                disk=self._disk,
                threads=writers,
                index=self._index,
                clock=self._clock,
                stray=self._strays.append,
                tidy=self._untidy.set,
            )
            for name, stream in streams.items()
        }
        backoff = Backoff()
        try:
            # What was recorded before still gets older when nothing is recorded any more.
            while await self._is_due(writers):
                started = self._clock.monotonic()
                # The edge between a defect here and the daemon, which goes on.
                error = await attempt(self._run(writers), name="recordings' work")
                if error is not None:
                    delay = backoff.failed(self._clock.monotonic() - started)
                    log.error("recording failed", retry_in=round(delay, 1), exc_info=error)
                    self._failed(RecordError(RecordFault.INTERNAL, "recording failed"), delay)
                    await self._clock.sleep(delay)
        except (OSError, RecordError) as error:
            self._tell(error)
        finally:
            writers.close()
            self._readers.close()
            self._readers = None

    async def _is_due(self, writers: DiskThreads) -> bool:
        if self._recorders:
            return True
        return await writers.run(self._disk.is_there, timeout=SCAN_PATIENCE)

    async def _run(self, writers: DiskThreads) -> None:
        if not self._is_open:
            await self._open(writers)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._remind(), name="recordings' age")
            tasks.create_task(self._tidy(writers), name="recordings' room")
            for name, recorder in self._recorders.items():
                tasks.create_task(recorder.run(), name=f"record:{name}")

    # What others may know

    def status(self, camera: str) -> RecordStatus:
        """From memory."""
        recorder = self._recorders.get(camera)
        oldest = self._index.oldest(camera)
        return RecordStatus(
            state=recorder.state if recorder else RecordState.OFF,
            last_error=recorder.last_error if recorder else None,
            segments=self._index.count(camera),
            size=self._index.bytes_of(camera),
            oldest=oldest.start / 1000 if oldest else None,
            written=recorder.written if recorder else 0,
            lost=recorder.lost if recorder else 0,
            failures=dict(recorder.failures) if recorder else {},
            deleted=dict(self._deleted.get(camera, {})),
        )

    def between(self, camera: str, start: int, end: int, *, most: int, after: int = -1) -> Sequence[Segment]:
        """The camera's recordings of a time, from memory; see `Index.between`."""
        return self._index.between(camera, start, end, most=most, after=after)

    def latest(self, camera: str, start: int, end: int, *, most: int) -> Sequence[Segment]:
        """The same, the newest first; see `Index.latest`."""
        return self._index.latest(camera, start, end, most=most)

    async def play(self, camera: str, file: str) -> Playback | None:
        """The recording with that file name, as far as it is written, for reading; None when there is none (any more).

        Raises RecordError when the disk does not let it be read.
        """
        name = Name.read(camera, file)
        segment = self._index.get(name) if name is not None else None
        if segment is None or self._readers is None:
            return None
        try:
            descriptor = await self._readers.run(partial(self._disk.open, segment), timeout=PATIENCE, undo=os.close)
        except FileNotFoundError:
            if segment.complete:
                self._index.discard(segment.name)
            return None
        except OSError as error:
            raise explained(error, self._disk.directory) from error
        return Playback(segment, descriptor, self._readers)

    # The folder

    async def _open(self, threads: DiskThreads) -> None:
        """Reads the folder. Tries again until it can be read."""
        backoff = Backoff()
        while True:
            started = self._clock.monotonic()
            try:
                await self._scan(threads)
            except OSError as error:
                delay = backoff.failed(self._clock.monotonic() - started)
                self._failed(explained(error, self._disk.directory), delay)
                await self._clock.sleep(delay)
            else:
                self._is_open = True
                return

    async def _scan(self, threads: DiskThreads) -> None:
        done = asyncio.wrap_future(threads.submit(self._disk.scan))
        while not (await asyncio.wait([done], timeout=SCAN_PATIENCE))[0]:
            message = f"{self._disk.directory} has not been read after {SCAN_PATIENCE:g} s"
            self._failed(RecordError(RecordFault.STALLED, message), 0.0)
        segments, unread = done.result()
        for segment in segments:
            self._index.add(segment)
        if unread:
            log.warning("some recordings cannot be read", count=len(unread), first=unread[0])
        log.info("recordings read", directory=self._disk.directory, count=len(segments), bytes=self._index.size)

    def _failed(self, error: RecordError, retry_in: float) -> None:
        for recorder in self._recorders.values():
            recorder.failed(error, retry_in)

    async def _remind(self) -> None:
        while True:
            self._untidy.set()
            await self._clock.sleep(CHECK_EVERY)

    async def _tidy(self, threads: DiskThreads) -> None:
        """Closes what could not be closed, and deletes what has to go, whenever somebody asks."""
        while True:
            await self._untidy.wait()
            self._untidy.clear()
            try:
                await self._close_strays(threads)
                await self._delete(await self._due(threads), threads)
            except (OSError, RecordError) as error:
                self._tell(error)

    async def _close_strays(self, threads: DiskThreads) -> None:
        waiting, self._strays[:] = tuple(self._strays[-MOST_STRAYS:]), []
        failure: OSError | None = None
        for number, file in enumerate(waiting):
            try:
                finished = await threads.run(partial(self._disk.finish, file), timeout=PATIENCE)
            except FileNotFoundError:
                # Somebody took it away, or its whole folder.
                file.close()
            except OSError as error:
                self._strays.append(file)
                failure = error
            except RecordError:
                self._strays.extend(waiting[number:])
                raise
            else:
                if finished is not None:
                    self._index.add(finished)
        if failure is not None:
            raise failure

    async def _due(self, threads: DiskThreads) -> list[Due]:
        written = sum(recorder.written for recorder in self._recorders.values())
        # Until the next look about as much is written as since the last one; twice that, and nobody has to wait.
        ahead, self._written = 2 * (written - self._written), written
        lacking = 0
        try:
            lacking = self._settings.min_free + ahead - await threads.run(self._disk.free, timeout=PATIENCE)
        except (OSError, RecordError) as error:
            self._tell(error)
        return due(
            self._index,
            round(self._clock.wall() * 1000),
            self._keep,
            max_size=self._settings.max_size,
            lacking=lacking,
        )

    def _keep(self, camera: str) -> float:
        """Seconds. Of a camera that is no longer configured nobody says anything but the fleet."""
        return self._cameras.get(camera, self._settings).keep

    async def _delete(self, dues: Sequence[Due], threads: DiskThreads) -> None:
        for place in range(0, len(dues), DELETE_AT_ONCE):
            some = {one.segment.name: one for one in dues[place : place + DELETE_AT_ONCE]}
            gone, failure = await threads.run(partial(self._disk.delete, tuple(some)), timeout=PATIENCE)
            for name in gone:
                self._index.discard(name)
                self._deleted.setdefault(name.camera, Counter())[some[name].reason] += 1
            for (camera, reason), count in Counter((name.camera, some[name].reason) for name in gone).items():
                log.info("recordings deleted", camera=camera, reason=reason, count=count)
            if failure is not None:
                raise failure

    def _tell(self, error: OSError | RecordError) -> None:
        told = explained(error, self._disk.directory) if isinstance(error, OSError) else error
        if repeated := self._undeletable.note(str(told), self._clock.monotonic()):
            log.warning("recordings are not tidied up", count=repeated.count, detail=repeated.last)
