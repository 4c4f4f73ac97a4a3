"""One signal asks, two insist. The ends of whole processes are watched from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faceanond.daemon.signals import STOP_SIGNALS, stop_on_signals
from tests.conftest import settle

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, signal, sys, time
from faceanond.daemon.signals import stop_on_signals

async def main():
    stop = asyncio.Event()
    with stop_on_signals(stop, pid={pid}):
        print("up", flush=True)
        {before}
        await stop.wait()
        print("stopping", flush=True)
        {after}
    print("stopped", flush=True)

asyncio.run(main())
"""


def program(*, before: str = "pass", after: str = "pass", pid: int | None = None) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(before=before, after=after, pid=pid)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert next_line(process) == "up"
    return process


def next_line(process: subprocess.Popen[str]) -> str:
    """The next line but for log lines (without set-up, structlog prints them there)."""
    assert process.stdout is not None
    while True:
        line = process.stdout.readline().strip()
        if "second signal" not in line:
            return line


def finish(process: subprocess.Popen[str]) -> int:
    code = process.wait(30)
    assert process.stdout is not None
    process.stdout.close()
    return code


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
async def test_the_first_signal_sets_the_event(number: signal.Signals) -> None:
    stop = asyncio.Event()
    with stop_on_signals(stop):
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            await stop.wait()


async def test_what_handled_the_signals_before_is_put_back() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with stop_on_signals(asyncio.Event()):
        assert [signal.getsignal(number) for number in STOP_SIGNALS] != before
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


async def test_it_is_put_back_after_a_signal_and_an_error_too() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]

    async def fail_while_stopping() -> None:
        with stop_on_signals(asyncio.Event()):
            os.kill(os.getpid(), signal.SIGTERM)
            await settle()
            raise RuntimeError("while stopping")

    with pytest.raises(RuntimeError, match="while stopping"):
        await fail_while_stopping()
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_one_signal_ends_a_process_in_order(number: signal.Signals) -> None:
    process = program()
    process.send_signal(number)
    assert [next_line(process), next_line(process)] == ["stopping", "stopped"]
    assert finish(process) == 0


def test_the_second_signal_ends_a_process_that_takes_its_time() -> None:
    process = program(after="await asyncio.sleep(60)")
    process.send_signal(signal.SIGTERM)
    assert next_line(process) == "stopping"
    process.send_signal(signal.SIGINT)
    assert finish(process) == -signal.SIGINT


def test_the_second_signal_ends_a_process_whose_loop_is_blocked() -> None:
    process = program(after="time.sleep(60)")
    process.send_signal(signal.SIGINT)
    assert next_line(process) == "stopping"
    process.send_signal(signal.SIGINT)
    assert finish(process) == -signal.SIGINT


def test_a_signal_during_a_block_is_heeded_after_it() -> None:
    process = program(before="signal.raise_signal(signal.SIGTERM); time.sleep(0.01)")
    assert [next_line(process), next_line(process)] == ["stopping", "stopped"]
    assert finish(process) == 0


def test_process_one_whose_default_actions_the_kernel_ignores_ends_too() -> None:
    process = program(after="time.sleep(60)", pid=1)
    process.send_signal(signal.SIGTERM)
    assert next_line(process) == "stopping"
    process.send_signal(signal.SIGTERM)
    assert finish(process) == 128 + signal.SIGTERM


def test_a_signal_that_another_thread_gets_wakes_the_loop() -> None:
    # The main thread blocks SIGTERM, so that the kernel must give it to the other one.
    process = program(
        before=(
            "import threading; gate = threading.Event(); "
            "threading.Thread(target=gate.wait, daemon=True).start(); "
            "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); print('masked', flush=True)"
        )
    )
    assert next_line(process) == "masked"
    process.send_signal(signal.SIGTERM)
    assert [next_line(process), next_line(process)] == ["stopping", "stopped"]
    assert finish(process) == 0
