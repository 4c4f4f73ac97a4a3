from __future__ import annotations

import asyncio

import pytest

from faceanond.errors import PushError, PushFault
from faceanond.publish.deadline import first_of, within
from tests.conftest import FakeClock

LATE = PushError(PushFault.TIMEOUT, "late")


async def test_work_that_is_done_in_time_gives_its_value(clock: FakeClock) -> None:
    async def work() -> int:
        return 3

    assert await within(clock, 1, work(), LATE) == 3


async def test_the_error_of_the_work_comes_out_as_it_is(clock: FakeClock) -> None:
    async def work() -> int:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await within(clock, 1, work(), LATE)


async def test_work_that_takes_too_long_is_cancelled(clock: FakeClock) -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_refused(clock, work()), name="test")
        await clock.advance(9.9)
        assert not task.done()
        await clock.advance(0.2)
        assert task.result() is LATE
    assert ended


async def _refused(clock: FakeClock, work) -> PushError:
    with pytest.raises(PushError) as caught:
        await within(clock, 10, work, LATE)
    return caught.value


async def test_cancelling_reaches_the_work(clock: FakeClock) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(within(clock, 10, work(), LATE), name="test")
        await clock.advance(1)
        task.cancel()
    assert task.cancelled()
    assert ended.is_set()


def test_the_first_error_of_a_nested_group() -> None:
    group = ExceptionGroup("", [ExceptionGroup("", [LATE, OSError("x")]), OSError("y")])
    assert first_of(group, PushError, OSError) is LATE


def test_a_defect_in_a_group_is_not_hidden() -> None:
    group = ExceptionGroup("", [LATE, ZeroDivisionError()])
    assert first_of(group, PushError, OSError) is group
