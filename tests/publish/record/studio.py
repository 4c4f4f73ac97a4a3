"""A recorder on a stream that a test feeds, on simulated time, with a disk that can be made to misbehave."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from faceanond.config.record import RecordOptions
from faceanond.publish.packet import EncodedPacket
from faceanond.publish.record.disk import Disk, SegmentFile
from faceanond.publish.record.index import Index, Segment
from faceanond.publish.record.recorder import Recorder
from faceanond.publish.record.threads import DiskThreads
from faceanond.publish.stream import Reader, Role, Stream
from tests.conftest import FakeClock
from tests.waiting import until


class MoodyDisk(Disk):
    """Fails with `error`, or hangs while `answers` is not set."""

    def __init__(self, folder: Path, *, min_free: int = 0) -> None:
        super().__init__(str(folder), min_free=min_free)
        self.error: int | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.capacity: int | None = None
        """Bytes that the disk holds, recordings only."""

    def free(self) -> int:
        return super().free() if self.capacity is None else self.capacity - self._used()

    def _used(self) -> int:
        return sum(file.stat().st_size for file in Path(self.directory).rglob("*.mp4*"))

    def write(self, file: SegmentFile, head: bytes, fragment: bytes, *, length: int) -> None:
        self.obey()
        super().write(file, head, fragment, length=length)

    def obey(self) -> None:
        self.answers.wait(20)
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        if self.capacity is not None and self._used() > self.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(self, number: int = errno.EIO) -> None:
        self.error = number

    def recover(self) -> None:
        self.error = None


class Studio:
    """What a test of the recorder has at hand."""

    def __init__(self, folder: Path, clock: FakeClock, *, patience: float, settings: RecordOptions) -> None:
        self.clock = clock
        self.stream = Stream("yard", clock=clock)
        self.disk = MoodyDisk(folder)
        self.threads = DiskThreads("record", 2)
        self.index = Index()
        self.strays: list[SegmentFile] = []
        self.tidied = 0
        self.recorder = Recorder(
            self.stream,
            settings,
            disk=self.disk,
            threads=self.threads,
            index=self.index,
            clock=clock,
            stray=self.strays.append,
            tidy=self._tidy,
            patience=patience,
        )
        self.task: asyncio.Task[None] | None = None

    def _tidy(self) -> None:
        self.tidied += 1

    async def feed(self, packets: Sequence[EncodedPacket], *, at_once: int = 25) -> None:
        """Writes packets as the camera would, each few only when the recorder has taken those before."""
        for place in range(0, len(packets), at_once):
            for packet in packets[place : place + at_once]:
                self.stream.write(packet)
            await self.taken()

    async def taken(self) -> None:
        """Waits until the recorder wants more."""
        await until(lambda: not any(reader._ring or reader._arrived.is_set() for reader in self.readers()))

    def readers(self) -> list[Reader]:
        """The recorder's end of the stream, as long as it reads."""
        return [reader for reader in self.stream._readers if reader.role is Role.RECORDING]

    async def stop(self) -> None:
        """As when the daemon ends."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])

    def segments(self) -> list[Segment]:
        return self.index.between("yard", 0, 10**15, most=999)


@asynccontextmanager
async def studio(
    folder: Path, clock: FakeClock, *, patience: float = 10.0, settings: RecordOptions | None = None
) -> AsyncIterator[Studio]:
    """A running recorder."""
    made = Studio(folder, clock, patience=patience, settings=settings or RecordOptions(enabled=True, segment=10.0))
    try:
        async with asyncio.TaskGroup() as tasks:
            made.task = tasks.create_task(made.recorder.run())
            await until(lambda: made.stream._readers)
            yield made
            made.task.cancel()
    finally:
        made.disk.answers.set()
        made.threads.close()
        made.disk.close()
