"""Runs the `faceanond` command in this process and answers a few questions about it on a Unix socket.

    python -m tests.load.host SOCKET run -c config.toml

The daemon does not know: its loop is only looked at. Questions are lines, answers are JSON: `stats` collects garbage,
gives free memory back to the kernel and counts what is left; `profile` and `profile FILE` begin and end a profile of
the loop's thread.
"""

from __future__ import annotations

import asyncio
import cProfile
import ctypes
import gc
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from faceanond.cli import main
from tests.load.process import Process

T = TypeVar("T")


class Host:
    """The socket's side. `loop` is the daemon's, from the moment that it runs."""

    def __init__(self, path: str) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._profile = cProfile.Profile()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()

    def serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rw") as lines:
                for line in lines:
                    lines.write(json.dumps(self._answer(*line.split())) + "\n")
                    lines.flush()

    def _answer(self, question: str, path: str = "") -> dict[str, int]:
        if question == "profile" and not path:
            self._on_loop(self._profile.enable)
        elif question == "profile":
            self._on_loop(self._profile.disable)
            self._profile.dump_stats(path)
        elif question == "stats":
            return self._stats()
        return {}

    def _stats(self) -> dict[str, int]:
        assert self.loop is not None
        self._on_loop(gc.collect)
        tasks = self._on_loop(lambda: len(asyncio.all_tasks(self.loop)))
        ctypes.CDLL(None).malloc_trim(0)
        process = Process(os.getpid())
        return {
            "tasks": tasks,
            "descriptors": process.descriptors() - 1,  # this conversation
            "threads": threading.active_count(),
            "memory": process.memory(),
            "objects": len(gc.get_objects()),
        }

    def _on_loop(self, work: Callable[[], T]) -> T:
        done: Future[T] = Future()
        assert self.loop is not None
        self.loop.call_soon_threadsafe(lambda: done.set_result(work()))
        return done.result(30)


def _run(host: Host) -> Callable[..., Any]:
    """asyncio.run, which tells the host its loop."""
    original = asyncio.run

    def run(work: Coroutine[Any, Any, T], **options: Any) -> T:
        async def told() -> T:
            host.loop = asyncio.get_running_loop()
            return await work

        return original(told(), **options)

    return run


if __name__ == "__main__":
    hosting = Host(sys.argv[1])
    threading.Thread(target=hosting.serve, name="load host", daemon=True).start()
    asyncio.run = _run(hosting)
    sys.exit(main(sys.argv[2:]))
