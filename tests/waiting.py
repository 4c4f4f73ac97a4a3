"""Waiting for what sets no event of ours: sockets, threads, other programs, and libraries' own tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object]) -> None:
    """Lets them work, in real time, until something has happened; fails after thirty seconds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
