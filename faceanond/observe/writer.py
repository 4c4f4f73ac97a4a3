"""Writes log lines in a thread of its own: a full pipe or a paused terminal must not stop the cameras.

The queue is bounded. Lines that find it full are lost and counted, and the count is written when the reader is back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TextIO

CAPACITY = 10_000
"""Lines that may wait: some megabytes, and minutes of a busy log."""
PATIENCE = 2.0
"""Seconds that the end of the process waits for a reader that has stopped reading."""


class LineWriter:
    """One stream, one thread. `lost` turns a number of lost lines into the line that tells it."""

    def __init__(self, stream: TextIO, *, lost: Callable[[int], str], capacity: int = CAPACITY) -> None:
        self._stream = stream
        self._lost_line = lost
        self._capacity = capacity
        self._lost = 0
        # SimpleQueue.put takes no Python lock, so it may run inside a signal handler or a destructor.
        self._lines: SimpleQueue[str | threading.Event | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queues one line, without its end. From any thread; never waits."""
        if self._closed:
            self._put(line)
        elif self._lines.qsize() >= self._capacity:
            self._lost += 1
        else:
            self._lines.put(line)

    def flush(self, patience: float = PATIENCE) -> bool:
        """Waits until everything queued so far is written, but not for ever; whether it was."""
        if self._closed:
            return True
        written = threading.Event()
        self._lines.put(written)
        return written.wait(patience)

    def close(self, patience: float = PATIENCE) -> None:
        """Writes what waits, and ends the thread. Later lines are written directly. Safe twice."""
        if not self._closed:
            self._closed = True
            self._lines.put(None)
        self._thread.join(patience)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            if isinstance(line, threading.Event):
                line.set()
                continue
            self._put(line)
            if self._lines.empty():
                self._tell_lost()
        self._tell_lost()

    def _tell_lost(self) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            self._put(self._lost_line(lost))

    def _put(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # The reader is gone (a broken pipe, a closed stream): nobody is left to be told about it.
            self._lost += 1
