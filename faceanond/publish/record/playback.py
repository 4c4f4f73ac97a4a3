"""One recording, open for reading: for whoever hands it on in pieces."""

from __future__ import annotations

import os
from functools import partial
from types import TracebackType
from typing import Self

from faceanond.errors import RecordFault
from faceanond.publish.record.faults import RecordError
from faceanond.publish.record.index import Segment
from faceanond.publish.record.threads import DiskThreads

PATIENCE = 10.0
"""Seconds that a read may take."""


class Playback:
    """An async context manager that closes the file. `size` is what of it was whole when it was opened."""

    def __init__(self, segment: Segment, descriptor: int, threads: DiskThreads) -> None:
        self.segment = segment
        self._descriptor = descriptor
        self._threads = threads

    @property
    def size(self) -> int:
        """Bytes."""
        return self.segment.size

    async def read(self, length: int, place: int) -> bytes:
        """So many bytes from that place on; fewer at the end. Raises RecordError."""
        try:
            job = partial(os.pread, self._descriptor, max(0, min(length, self.size - place)), place)
            return await self._threads.run(job, timeout=PATIENCE)
        except OSError as error:
            raise RecordError(RecordFault.IO, f"cannot read a recording: {error.strerror}") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not awaited: on a network's disk this may take its time, too.
        self._threads.submit(partial(os.close, self._descriptor))
