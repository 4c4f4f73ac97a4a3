"""The threads in which the disk may hang without anybody waiting for it.

They are daemons of a fixed number: a disk that never answers costs so many threads and no more, and does not keep the
process from ending. Whoever has a job waiting here has only that one, so the queue is as long as there are cameras.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from faceanond.errors import RecordFault
from faceanond.publish.record.faults import RecordError

T = TypeVar("T")
Job = Callable[[], Any]

PARTING = 1.0
"""Seconds that a job which has begun gets when whoever waits for it is cancelled: the daemon ends within 5."""


class DiskThreads:
    """A few threads and one queue. `close` ends them; those that hang stay behind until the process ends."""

    def __init__(self, name: str, count: int) -> None:
        self._jobs: queue.SimpleQueue[tuple[Job, Future[Any]] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """No more jobs; does not wait."""
        for _ in self._threads:
            self._jobs.put(None)

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Has the job done; the future is for `patiently`, or for a thread that may wait."""
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future

    async def run(self, job: Callable[[], T], *, timeout: float, undo: Callable[[T], None] | None = None) -> T:
        """What the job returns or raises. Raises RecordError (stalled) when that takes longer than `timeout` seconds.

        A job that has not begun by then never will. One that has goes on, and what it does then is nobody's business
        but that of the object that it works on, which must hold a lock; `undo` gets the result that nobody waits for.
        The same when the caller is cancelled, after a short while of waiting for an orderly end.
        """
        future = self.submit(job)
        done = asyncio.wrap_future(future)
        # Looked at, so that nobody is told of an exception that was not fetched.
        done.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        try:
            await asyncio.wait([done], timeout=timeout)
            if done.done():
                return done.result()
        except asyncio.CancelledError:
            if not future.cancel():
                await asyncio.wait([done], timeout=PARTING)
            self._forget(future, undo)
            raise
        self._forget(future, undo)
        raise RecordError(RecordFault.STALLED, f"no answer within {timeout:g} s")

    @staticmethod
    def _forget(future: Future[T], undo: Callable[[T], None] | None) -> None:
        """Nobody waits any more."""
        if undo is not None and not future.cancel():
            future.add_done_callback(lambda ended: None if ended.exception() else undo(ended.result()))
        future.cancel()

    def _work(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, future = entry
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = job()
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)
