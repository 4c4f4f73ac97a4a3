"""A shelf of recordings without a recorder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from faceanond.publish.record.faults import RecordError
from faceanond.publish.record.index import Index, Segment
from faceanond.publish.record.names import Name
from faceanond.publish.record.playback import Playback
from faceanond.publish.record.threads import DiskThreads

MORNING = 1_795_750_200_000
"""2026-11-27 03:30 UTC."""
CONTENT = bytes(range(256)) * 4096
"""A megabyte: several pieces."""


class Shelf:
    """Recordings of five minutes each, all with the same content."""

    def __init__(self, folder: Path, count: int, content: bytes = CONTENT) -> None:
        self.index = Index()
        self.file = folder / "content"
        self.file.write_bytes(content)
        self.threads = DiskThreads("test", 1)
        self.error: RecordError | None = None
        for number in range(count):
            start = MORNING + number * 300_000
            self.index.add(Segment(Name("lobby", start), start + 300_000, len(content)))
        start = MORNING + count * 300_000
        self.index.grow(Segment(Name("lobby", start), start + 2_000, 1000, complete=False, lost=3))

    def between(self, camera: str, start: int, end: int, *, most: int, after: int = -1) -> Sequence[Segment]:
        return self.index.between(camera, start, end, most=most, after=after)

    def latest(self, camera: str, start: int, end: int, *, most: int) -> Sequence[Segment]:
        return self.index.latest(camera, start, end, most=most)

    async def play(self, camera: str, file: str) -> Playback | None:
        if self.error is not None:
            raise self.error
        name = Name.read(camera, file)
        segment = self.index.get(name) if name else None
        if segment is None:
            return None
        descriptor = await self.threads.run(lambda: os.open(self.file, os.O_RDONLY), timeout=5)
        return Playback(segment, descriptor, self.threads)
