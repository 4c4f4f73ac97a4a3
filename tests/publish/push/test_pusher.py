from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from faceanond.backoff import LONGEST, Backoff
from faceanond.config.model import Push
from faceanond.errors import PushError, PushFault
from faceanond.publish.deadline import first_of
from faceanond.publish.push import pusher as module
from faceanond.publish.push.pusher import LONGEST_WAIT, TOLD_EVERY, Pusher
from faceanond.publish.push.target import Target, target
from faceanond.publish.stream import Stream, StreamClosedError
from faceanond.status import PushState
from tests.conftest import FakeClock, settle
from tests.publish.sealed import packet

DOWN = PushError(PushFault.UNREACHABLE, "no connection to media:8554: Connection refused")


@dataclass
class Server:
    """Attempts as a script: an error fails at once, a number of seconds is a session that then breaks off."""

    clock: FakeClock
    script: list[Exception | float] = field(default_factory=list)
    attempts: list[float] = field(default_factory=list)

    def attempt(self, place: Target, stream: Stream, connected: Callable[[], None]) -> Server.Attempt:
        self.attempts.append(self.clock.monotonic())
        return Server.Attempt(self, connected)

    @dataclass
    class Attempt:
        server: Server
        connected: Callable[[], None]

        async def run(self) -> None:
            step = self.server.script.pop(0) if self.server.script else DOWN
            if isinstance(step, Exception):
                raise step
            self.connected()
            await self.server.clock.sleep(step)
            raise PushError(PushFault.CLOSED, "the server closed the connection")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The warnings in the log."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(module.log, "warning", lambda words, **fields: lines.append({"words": words, **fields}))
    return lines


@asynccontextmanager
async def pushing(
    clock: FakeClock, *script: Exception | float, keyframe: bool = True
) -> AsyncIterator[tuple[Pusher, Server, Stream]]:
    stream = Stream("yard", clock=clock)
    if keyframe:
        stream.write(packet(0, keyframe=True))
    place = target("yard", Push(url="rtsp://media:8554/{camera}?key=geheim"))
    assert place is not None
    server = Server(clock, list(script))
    pusher = Pusher(place, stream, server.attempt, clock=clock, backoff=Backoff(jitter=lambda: 1.0))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pusher.run(), name="push")
        await settle()
        try:
            yield pusher, server, stream
        finally:
            task.cancel()


async def test_it_waits_for_the_first_picture(clock: FakeClock) -> None:
    async with pushing(clock, 1000.0, keyframe=False) as (pusher, server, stream):
        await clock.advance(60)
        assert pusher.status().state is PushState.WAITING
        assert server.attempts == []
        stream.write(packet(0, keyframe=True))
        await settle()
        assert pusher.status().state is PushState.UP


async def test_a_push_that_is_up_says_since_when_and_hides_the_key(clock: FakeClock) -> None:
    began = clock.wall()
    async with pushing(clock, 1000.0) as (pusher, _, _):
        await clock.advance(5)
        status = pusher.status()
    assert (status.state, status.since, status.last_error, status.retry_in) == (PushState.UP, began, None, None)
    assert status.url == "rtsp://media:8554/yard?key=***"


async def test_a_server_that_is_down_is_tried_for_ever_at_growing_distances(clock: FakeClock) -> None:
    async with pushing(clock) as (pusher, server, _):
        await clock.advance(3600)
        gaps = [round(b - a, 3) for a, b in zip(server.attempts, server.attempts[1:], strict=False)]
        assert gaps[:7] == [0.5, 1, 2, 4, 8, 16, 30]
        assert set(gaps[7:]) == {LONGEST}
        status = pusher.status()
        assert status.state is PushState.RETRYING
        assert status.failures == {"unreachable": len(server.attempts)}
        assert status.last_error == str(DOWN)
        assert status.retry_in is not None
        assert 0 <= status.retry_in <= LONGEST


async def test_a_server_that_comes_back_is_found_and_a_long_good_session_makes_the_next_retry_quick(
    clock: FakeClock,
) -> None:
    async with pushing(clock, DOWN, DOWN, DOWN, DOWN, 600.0, 1000.0) as (pusher, server, _):
        await clock.advance(7.6)
        assert pusher.status().state is PushState.UP
        await clock.advance(600.5)
        assert pusher.status().state is PushState.UP
        assert len(server.attempts) == 6
        assert pusher.status().failures == {"unreachable": 4, "closed": 1}


async def test_a_server_that_hangs_for_long_before_it_fails_is_not_tried_faster_for_that(clock: FakeClock) -> None:
    class Slow(Server):
        def attempt(self, place: Target, stream: Stream, connected: Callable[[], None]) -> Any:
            self.attempts.append(clock.monotonic())
            return self

        async def run(self) -> None:
            await clock.sleep(40)
            raise PushError(PushFault.TIMEOUT, "no answer")

    stream = Stream("yard", clock=clock)
    stream.write(packet(0, keyframe=True))
    place = target("yard", Push(url="rtsp://media/yard"))
    assert place is not None
    server = Slow(clock)
    pusher = Pusher(place, stream, server.attempt, clock=clock, backoff=Backoff(jitter=lambda: 1.0))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pusher.run(), name="push")
        await clock.advance(300)
        gaps = [b - a - 40 for a, b in zip(server.attempts, server.attempts[1:], strict=False)]
        assert gaps == [0.5, 1, 2, 4, 8, 16]
        task.cancel()


async def test_what_the_server_asks_for_is_obeyed_up_to_a_limit(clock: FakeClock) -> None:
    busy = PushError(PushFault.REFUSED, "busy", retry_after=120)
    for_ever = PushError(PushFault.REFUSED, "busy", retry_after=1e9)
    async with pushing(clock, busy, for_ever, 1000.0) as (pusher, server, _):
        await clock.advance(119)
        assert len(server.attempts) == 1
        assert pusher.status().retry_in == pytest.approx(1)
        await clock.advance(2)
        assert len(server.attempts) == 2
        await clock.advance(LONGEST_WAIT)
        assert len(server.attempts) == 3


async def test_the_same_trouble_is_told_now_and_then_and_another_one_at_once(
    clock: FakeClock, told: list[dict[str, Any]]
) -> None:
    refused = PushError(PushFault.UNAUTHORISED, "the server refuses the user name or the password")
    async with pushing(clock, *[DOWN] * 20, refused) as (_, server, _):
        await clock.advance(TOLD_EVERY - 1)
        assert [line["reason"] for line in told] == ["unreachable"]
        await clock.advance(4 * TOLD_EVERY)
        reasons = [line["reason"] for line in told]
        assert "unauthorised" in reasons
        assert len(told) <= 3 + 2 * 5
        assert told[1]["attempts"] > 3
        assert all("geheim" not in str(line) for line in told)
        assert len(server.attempts) > 22


async def test_a_session_that_breaks_off_is_always_told(clock: FakeClock, told: list[dict[str, Any]]) -> None:
    async with pushing(clock, 1.0, 1.0, 1.0) as (_, _, _):
        await clock.advance(2.6)
    assert [line["reason"] for line in told] == ["closed", "closed"]


async def test_a_defect_is_counted_and_retried_and_reaches_nobody(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(module.log, "error", lambda words, **_: logged.append(words))
    async with pushing(clock, ZeroDivisionError("defect"), 1000.0) as (pusher, _, _):
        await clock.advance(1)
        assert pusher.status().state is PushState.UP
        assert pusher.status().failures == {"internal": 1}
        assert "defect" not in str(pusher.status().last_error)
    assert logged == ["push failed by a defect"]


async def test_a_server_that_fails_in_the_moment_of_the_stop_does_not_keep_it_going(clock: FakeClock) -> None:
    class Racing(Server):
        def attempt(self, place: Target, stream: Stream, connected: Callable[[], None]) -> Any:
            return self

        async def run(self) -> None:
            async def fail() -> None:
                raise PushError(PushFault.CLOSED, "the server closed the connection")

            try:
                async with asyncio.TaskGroup() as tasks:
                    began.set()
                    await go.wait()
                    tasks.create_task(fail(), name="read")
                    stop.set()
                    await asyncio.Event().wait()
            except ExceptionGroup as group:
                raise group.exceptions[0] from None

    began, go, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
    stream = Stream("yard", clock=clock)
    stream.write(packet(0, keyframe=True))
    place = target("yard", Push(url="rtsp://media/yard"))
    assert place is not None
    pusher = Pusher(place, stream, Racing(clock).attempt, clock=clock)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pusher.run(), name="push")
        await began.wait()
        go.set()
        await stop.wait()
        task.cancel()
        await settle()
        assert task.done()
        assert task.cancelled()


async def test_a_failure_inside_nested_groups_is_a_failure_like_any_other(clock: FakeClock) -> None:
    """A group of Python 3.11 that fails while it waits for its tasks leaves a cancellation behind."""

    class Nested(Server):
        def attempt(self, place: Target, stream: Stream, connected: Callable[[], None]) -> Any:
            self.attempts.append(clock.monotonic())
            return self

        async def run(self) -> None:
            async def fail() -> None:
                await clock.sleep(1)
                raise PushError(PushFault.STALLED, "the server took no data")

            try:
                async with asyncio.TaskGroup() as outer:
                    outer.create_task(clock.sleep(1000), name="read")
                    async with asyncio.TaskGroup() as inner:
                        inner.create_task(fail(), name="carry")
                        inner.create_task(fail(), name="watch")
            except ExceptionGroup as group:
                raise first_of(group, PushError) from None

    stream = Stream("yard", clock=clock)
    stream.write(packet(0, keyframe=True))
    place = target("yard", Push(url="rtsp://media/yard"))
    assert place is not None
    server = Nested(clock)
    pusher = Pusher(place, stream, server.attempt, clock=clock)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pusher.run(), name="push")
        await clock.advance(60)
        assert not task.done()
        assert len(server.attempts) > 3
        assert pusher.status().failures["stalled"] >= 3
        task.cancel()


async def test_a_camera_that_is_taken_away_ends_it(clock: FakeClock) -> None:
    stream = Stream("yard", clock=clock)
    stream.write(packet(0, keyframe=True))
    place = target("yard", Push(url="rtsp://media/yard"))
    assert place is not None
    for script in ([StreamClosedError()], []):
        server = Server(clock, list(script))
        pusher = Pusher(place, stream, server.attempt, clock=clock)
        if not script:
            stream = Stream("yard", clock=clock)
            pusher = Pusher(place, stream, server.attempt, clock=clock)
            stream.close()
        async with asyncio.timeout(5):
            await pusher.run()
