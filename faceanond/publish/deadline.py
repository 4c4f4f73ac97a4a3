"""A limit of time for a step of a conversation, on the injected clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from faceanond.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    value: T


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T], late: Exception) -> T:
    """What `work` gives, or raises. Raises `late`, with `work` cancelled, when it takes longer."""

    async def attempt() -> _Done[T] | _Failed:
        # Kept as a value: a group would wrap it.
        try:
            return _Done(await work)
        except Exception as error:  # noqa: BLE001 - raised again below
            return _Failed(error)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(attempt(), name="deadline: work")
        timer = tasks.create_task(clock.sleep(seconds), name="deadline: timer")
        await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        timer.cancel()
    if task.cancelled():
        raise late
    outcome = task.result()
    if isinstance(outcome, _Failed):
        raise outcome.error
    return outcome.value


def first_of(group: BaseExceptionGroup[BaseException], *kinds: type[Exception]) -> BaseException:
    """The first error in a group, however deep, when all are of these kinds; else the group, which holds a defect."""
    expected, defects = group.split(kinds)
    if expected is None or defects is not None:
        return group
    error: BaseException = expected
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
