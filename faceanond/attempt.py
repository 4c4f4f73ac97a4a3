"""One attempt of something that is tried again and again, kept apart from the loop that tries it.

A loop that catches what fails must still hear that it is cancelled, and it does not when the failure comes in that
moment: an exception raised while a cancellation is worked off replaces it. A TaskGroup does the same before Python 3.13
when one of its children fails, and leaves a cancellation behind when a child fails while it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class GivenUpError(Exception):
    """The attempt was cancelled by something inside of it, not by whoever made it."""


async def attempt(work: Coroutine[Any, Any, object], *, name: str) -> Exception | None:
    """Runs `work` as a task of its own called `name`, and returns what it raised, or None when it came to its end.

    When this is cancelled, `work` is, too, and however that ends, CancelledError goes on.
    """

    async def outcome() -> Exception | None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - handed to whoever made the attempt
            return error
        return None

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(outcome(), name=name)
    return GivenUpError(f"{name} was cancelled from inside") if task.cancelled() else task.result()
