"""JPEG pictures of a camera's last published frame, made at most once per frame however many ask."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.publish.snapshot import jpeg


class Snapshots:
    """One camera's last JPEG. The executor is shared by all cameras, so that a flood of requests costs one thread."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._lock = asyncio.Lock()
        self._cached: tuple[AnonymisedFrame, bytes] | None = None

    async def of(self, frame: AnonymisedFrame) -> bytes:
        """The frame as JPEG."""
        async with self._lock:
            if self._cached is None or self._cached[0] is not frame:
                picture = await asyncio.get_running_loop().run_in_executor(self._executor, jpeg, frame)
                self._cached = (frame, picture)
            return self._cached[1]
