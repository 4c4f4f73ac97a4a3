"""The first SIGTERM or SIGINT asks for an orderly end, the second ends the process at once.

The handler runs in the main thread between two bytecodes, so it counts signals even while the event loop is blocked.
After the first signal both get their default action back: then the kernel ends the process, also when a library holds
the interpreter. The kernel ignores default actions for process 1 (a container's daemon), which gets a handler instead.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog

log = structlog.get_logger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals(stop: asyncio.Event, *, pid: int | None = None) -> Iterator[None]:
    """Sets `stop` at the first signal. Enter it on the event loop's thread, which must be the main one.

    What handled the signals before is put back at the end.
    """
    loop = asyncio.get_running_loop()
    is_init = (os.getpid() if pid is None else pid) == 1

    def first(number: int, _: FrameType | None) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, _end_at_once if is_init else signal.SIG_DFL)
        loop.call_soon_threadsafe(_stop, stop, number)

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        for number in STOP_SIGNALS:
            # The loop's own handler is there for its wake-up: without it, a signal that the kernel gives to another
            # thread would not interrupt the loop's waiting. What happens is `first`'s decision alone.
            loop.add_signal_handler(number, _awake)
            signal.signal(number, first)
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _stop(stop: asyncio.Event, number: int) -> None:
    if not stop.is_set():
        log.info("stopping; a second signal ends it at once", signal=signal.Signals(number).name)
        stop.set()


def _awake() -> None:
    """Nothing: being called is the point."""


def _end_at_once(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)
