"""A bounded hand-over from one thread to the event loop in which the newest wins."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class MailboxClosedError(Exception):
    """Nothing more will come."""


class Mailbox(Generic[T]):
    """Holds at most `capacity` items: a live picture that nobody fetched in time is worth less than the next one.

    `put` may be called from any thread and never blocks; `get` belongs to one task on the loop that made the mailbox.
    """

    def __init__(self, capacity: int = 1) -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox holds at least one item, not {capacity}")
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._lock = threading.Lock()
        self._arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Items that were pushed out by newer ones, or discarded, since the start."""
        return self._dropped

    def __len__(self) -> int:
        """Items that wait."""
        return len(self._items)

    def put(self, item: T) -> None:
        """Adds an item, dropping the oldest when full. Ignored after `close`."""
        with self._lock:
            if self._closed:
                return
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self._dropped += 1
            self._items.append(item)
        self._wake()

    async def get(self) -> T:
        """The oldest item; waits for one. Raises MailboxClosedError when closed and empty."""
        while True:
            with self._lock:
                if self._items:
                    return self._items.popleft()
                if self._closed:
                    raise MailboxClosedError
                self._arrived.clear()
            await self._arrived.wait()

    def discard(self) -> None:
        """Drops and counts everything that waits."""
        with self._lock:
            self._dropped += len(self._items)
            self._items.clear()

    def close(self) -> None:
        """No more items are taken; what waits can still be fetched. Safe from any thread, and twice."""
        with self._lock:
            self._closed = True
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:
            # The loop has ended, so nobody waits any more.
            return
