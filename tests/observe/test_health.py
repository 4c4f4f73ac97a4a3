"""Alive means that every vital part shows signs of life, ready that viewers are welcome; no camera has a say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from faceanond.observe.health import Health
from tests.conftest import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine


@pytest.fixture
def health(clock: FakeClock) -> Health:
    return Health(clock)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work, name="pulse")
        yield
        task.cancel()


def test_nothing_to_watch_is_alive_and_ready(health: Health) -> None:
    assert health.alive()[0]
    assert health.ready()[0]


async def test_a_heartbeat_that_grows_too_old_is_death(health: Health, clock: FakeClock) -> None:
    beat = health.heartbeat("inference", limit=5.0)
    await clock.advance(5.0)
    assert health.alive()[0]
    await clock.advance(0.1)
    alive, details = health.alive()
    assert not alive
    assert details["failing"] == ["inference"]
    assert details["inference_age_seconds"] == 5.1
    beat.beat()
    assert health.alive()[0]


def test_it_is_ready_when_every_condition_holds(health: Health) -> None:
    warm, open_ = health.condition("detector"), health.condition("http")
    warm.set()
    ready, details = health.ready()
    assert not ready
    assert details["failing"] == ["http"]
    assert health.alive()[0], "not ready is not dead: a restart would not help"
    open_.set()
    assert health.ready()[0]
    open_.set(False)
    assert not health.ready()[0]


async def test_what_is_dead_is_not_ready(health: Health, clock: FakeClock) -> None:
    health.heartbeat("loop", limit=1.0)
    health.condition("http").set()
    await clock.advance(2.0)
    ready, details = health.ready()
    assert not ready
    assert details["failing"] == ["loop"]


def test_two_parts_cannot_share_a_name(health: Health) -> None:
    health.heartbeat("loop", limit=1.0)
    health.condition("http")
    with pytest.raises(ValueError, match="loop"):
        health.heartbeat("loop", limit=2.0)
    with pytest.raises(ValueError, match="http"):
        health.condition("http")


async def test_a_part_that_answers_its_probe_lives(health: Health, clock: FakeClock) -> None:
    asked = 0

    async def probe() -> None:
        nonlocal asked
        asked += 1

    async with running(health.pulse("inference", probe, limit=3.0, step=1.0)):
        await clock.advance(10.0)
        assert asked == 11
        assert health.alive()[0]


async def test_a_part_that_never_answers_dies_while_the_others_live(health: Health, clock: FakeClock) -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    async with running(health.pulse("anonymiser", stuck, limit=3.0)), running(health.pulse_loop(limit=3.0)):
        await clock.advance(4.0)
        alive, details = health.alive()
        assert not alive
        assert details["failing"] == ["anonymiser"]


async def test_a_failing_probe_is_told_once_and_so_is_its_recovery(
    health: Health, clock: FakeClock, logged: list[Any]
) -> None:
    error: Exception | None = RuntimeError("no answer")

    async def probe() -> None:
        if error is not None:
            raise error

    async with running(health.pulse("inference", probe, limit=3.0, step=1.0)):
        await clock.advance(5.0)
        assert not health.alive()[0]
        error = None
        await clock.advance(1.0)
        assert health.alive()[0]
    assert [line["event"] for line in logged] == ["health probe failed", "health probe recovered"]
    assert logged[0]["detail"] == "no answer"


async def test_the_loops_lag_is_measured(health: Health, clock: FakeClock) -> None:
    class Late(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds + 0.25)

    late = Late()
    health = Health(late)
    async with running(health.pulse_loop(limit=3.0, step=1.0)):
        await late.advance(5.0)
        alive, details = health.alive()
    assert alive
    assert details["loop_lag_seconds"] == 0.25
    assert health.loop_lag().count == 4
    assert health.loop_lag().total == 1.0
