"""The daemon as it is built, in this process, with one small camera; and what it holds while nothing happens."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from aiohttp import web

from faceanond.clock import SystemClock
from faceanond.config.model import Config
from faceanond.daemon import app as module
from faceanond.daemon.app import App
from tests.conftest import need_tool
from tests.e2e.daemon import free_port
from tests.load.process import Process

CAMERA = "yard"
DRAINED_WITHIN = 30.0
"""Seconds for everything of earlier inputs to be gone: handshakes, silent viewers and idle connections time out."""


@dataclass(frozen=True)
class Held:
    """What the process holds."""

    tasks: int
    descriptors: int
    memory: int


@dataclass
class Running:
    """The daemon's doors."""

    http: int
    rtsp: int
    routes: list[tuple[str, str]]
    """(method, path) of every route, with `{name}` in it as aiohttp writes it."""
    task: asyncio.Task[None]

    def held(self) -> Held:
        """Counts, after a collection; blocks for some milliseconds."""
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        process = Process(os.getpid())
        return Held(len(asyncio.all_tasks()), process.descriptors(), process.memory())

    async def drained(self, idle: Held) -> Held:
        """Waits until tasks and descriptors are back at `idle`; what it holds then, or in the end."""
        for _ in range(int(DRAINED_WITHIN / 0.5)):
            now = self.held()
            if now.tasks <= idle.tasks and now.descriptors <= idle.descriptors:
                return now
            await asyncio.sleep(0.5)
        return self.held()

    async def idle(self) -> Held:
        """The most that it holds over some seconds in which nobody comes: its own tasks come and go."""
        looks = []
        for _ in range(20):
            await asyncio.sleep(0.1)
            looks.append(self.held())
        return Held(*(max(getattr(look, name) for look in looks) for name in ("tasks", "descriptors", "memory")))


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Running]:
    """The daemon until the context ends. Raises what it ended with."""
    clip = folder / "clip.mp4"
    subprocess.run(  # noqa: ASYNC221 (nothing runs yet)
        [need_tool("ffmpeg"), "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=5:duration=4", str(clip)],
        check=True,
        timeout=60,
    )
    http, rtsp = free_port(), free_port()
    config = Config.model_validate(
        {
            "http": {"listen": f"127.0.0.1:{http}"},
            "rtsp": {"listen": f"127.0.0.1:{rtsp}"},
            "detector": {"min_size": 100},
            "track": {"enabled": False},
            "cameras": {CAMERA: {"source": f"file:{clip}"}},
        }
    )
    built: list[web.Application] = []
    build = module.build

    def noted(*arguments: Any, **named: Any) -> web.Application:
        built.append(build(*arguments, **named))
        return built[-1]

    with mock.patch.object(module, "build", noted):
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(App(config, clock=SystemClock()).run(), name="daemon")
            try:
                await _answers(http, task)
                yield Running(http, rtsp, _routes(built[0]), task)
            finally:
                task.cancel()


def _routes(app: web.Application) -> list[tuple[str, str]]:
    found = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    return sorted(found)


async def _answers(port: int, task: asyncio.Task[None]) -> None:
    """Waits until the camera has a picture."""
    async with asyncio.timeout(60):
        while not task.done():
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(f"GET /cameras/{CAMERA}/snapshot.jpg HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                head = await reader.readline()
                writer.close()
                if b" 200 " in head:
                    return
            await asyncio.sleep(0.2)
