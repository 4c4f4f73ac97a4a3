"""The messages that systemd gets, over a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from faceanond.daemon.notify import Notifier, feed_watchdog
from tests.conftest import FakeClock, settle


class Manager:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self.socket.setblocking(False)

    def received(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.socket.close()


def environment(manager: Manager, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.address, **more}


def test_start_status_life_and_end_are_told_in_systemds_words(manager: Manager) -> None:
    with Notifier.from_environment(environment(manager)) as notifier:
        notifier.ready("4 cameras")
        notifier.status("3 of 4 cameras live")
        notifier.alive()
        notifier.stopping("closing")
    assert manager.received() == [
        "READY=1\nSTATUS=4 cameras",
        "STATUS=3 of 4 cameras live",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=closing",
    ]


def test_a_status_cannot_smuggle_in_another_field(manager: Manager) -> None:
    with Notifier.from_environment(environment(manager)) as notifier:
        notifier.status("camera\nMAINPID=1")
    assert manager.received() == ["STATUS=camera MAINPID=1"]


def test_an_abstract_socket_is_reached() -> None:
    manager = Manager(f"@faceanond-test-{os.getpid()}")
    try:
        with Notifier.from_environment(environment(manager)) as notifier:
            notifier.ready()
        assert manager.received() == ["READY=1"]
    finally:
        manager.socket.close()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_a_socket_nothing_happens(environ: dict[str, str]) -> None:
    with Notifier.from_environment(environ) as notifier:
        notifier.ready("nobody hears this")
        notifier.alive()
    assert notifier.watchdog_interval is None


def test_a_manager_that_is_gone_is_told_of_once(manager: Manager) -> None:
    manager.socket.close()
    Path(manager.address).unlink()
    with structlog.testing.capture_logs() as logged, Notifier.from_environment(environment(manager)) as notifier:
        notifier.ready()
        notifier.alive()
    assert [line["event"] for line in logged] == ["systemd took no message"]


def test_a_manager_that_does_not_read_holds_nothing_up(manager: Manager) -> None:
    with structlog.testing.capture_logs() as logged, Notifier.from_environment(environment(manager)) as notifier:
        for _ in range(2000):  # far more than the kernel queues
            notifier.alive()
        assert 0 < len(manager.received()) < 2000
        notifier.alive()
    assert manager.received() == ["WATCHDOG=1"]
    assert [line["event"] for line in logged] == ["systemd took no message"]


def test_nothing_is_sent_after_the_end(manager: Manager) -> None:
    notifier = Notifier.from_environment(environment(manager))
    notifier.close()
    notifier.close()
    notifier.alive()
    assert manager.received() == []


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdogs_interval_counts_only_when_it_is_for_this_process(
    manager: Manager, environ: dict[str, str], interval: float | None
) -> None:
    with Notifier.from_environment(environment(manager, **environ), pid=42) as notifier:
        assert notifier.watchdog_interval == interval


async def test_the_watchdog_is_fed_three_times_an_interval_and_only_while_alive(
    manager: Manager, clock: FakeClock
) -> None:
    alive = True
    with structlog.testing.capture_logs() as logged, Notifier(manager.address, watchdog_interval=30.0) as notifier:
        async with asyncio.TaskGroup() as tasks:
            feeding = tasks.create_task(feed_watchdog(notifier, lambda: alive, clock), name="watchdog")
            await clock.advance(30.0)
            assert manager.received() == ["WATCHDOG=1"] * 4
            alive = False
            await clock.advance(60.0)
            assert manager.received() == []
            alive = True
            await clock.advance(10.0)
            assert manager.received() == ["WATCHDOG=1"]
            feeding.cancel()
    assert [line["log_level"] for line in logged] == ["error", "info"]


async def test_no_watchdog_needs_no_feeding(clock: FakeClock) -> None:
    async with asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(feed_watchdog(Notifier(None), lambda: True, clock), name="watchdog")
        await settle()
        assert feeding.done()
