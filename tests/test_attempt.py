from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from faceanond.attempt import GivenUpError, attempt
from tests.conftest import settle

WORK = "an attempt"


async def fail() -> None:
    raise OSError("the wire was cut")


async def fails_when_stopped() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise OSError("the wire was cut")


async def fails_in_a_group(fail_now: asyncio.Event) -> None:
    async def child() -> None:
        await fail_now.wait()
        raise OSError("the wire was cut")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child())


async def test_an_attempt_gives_its_error_as_a_value() -> None:
    assert isinstance(await attempt(fail(), name=WORK), OSError)


async def test_an_attempt_that_comes_to_its_end_gives_none() -> None:
    assert await attempt(asyncio.sleep(0), name=WORK) is None


async def test_a_failed_group_leaves_no_cancellation_behind() -> None:
    fail_now = asyncio.Event()
    fail_now.set()
    assert isinstance(await attempt(fails_in_a_group(fail_now), name=WORK), ExceptionGroup)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_an_attempt_cancelled_from_inside_is_a_failure() -> None:
    async def gives_up() -> None:
        raise asyncio.CancelledError

    assert isinstance(await attempt(gives_up(), name=WORK), GivenUpError)


async def tried_again(make: Callable[[], Coroutine[Any, Any, object]], again: Callable[[], Awaitable[None]]) -> None:
    while True:
        await attempt(make(), name=WORK)
        await again()


async def never_again() -> None:
    pytest.fail("the loop went on after it was cancelled")


async def test_a_loop_hears_that_it_is_cancelled_when_its_attempt_fails_over_that() -> None:
    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(tried_again(fails_when_stopped, never_again))
        await settle()
        loop.cancel()
    assert loop.cancelled()


@pytest.mark.parametrize("rounds", range(6))
async def test_a_loop_hears_that_it_is_cancelled_when_a_group_fails_in_that_moment(rounds: int) -> None:
    fail_now = asyncio.Event()
    first = True

    async def again() -> None:
        nonlocal first
        assert first, "the loop went on after it was cancelled"
        first = False
        # Its failure was worked off before: what it waits for now is cancelled as anything else.
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(tried_again(lambda: fails_in_a_group(fail_now), again))
        await settle()
        fail_now.set()
        await settle(rounds)
        loop.cancel()
        await settle()
        assert loop.done()
    assert loop.cancelled()
