"""A camera behind the real server, on real time, for players that are programs of their own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from faceanond.access import Access
from faceanond.clock import SystemClock
from faceanond.config.model import Encode, Rtsp, Viewer
from faceanond.publish.encoder import Encoder
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from tests.publish.sealed import picture, sealed

WIDTH, HEIGHT, FPS = 320, 240, 25
PATIENCE = 30.0


@dataclass(frozen=True)
class Studio:
    """What can be watched, and where."""

    stream: Stream
    server: RtspServer

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.server.port}/yard"

    @property
    def secure_url(self) -> str:
        return f"rtsps://127.0.0.1:{self.server.tls_port}/yard"

    def logged_in(self, name: str, password: str, *, secure: bool = False) -> str:
        """The URL with the login inside."""
        scheme, rest = (self.secure_url if secure else self.url).split("//")
        return f"{scheme}//{name}:{password}@{rest}"


@asynccontextmanager
async def studio(
    viewers: Mapping[str, Viewer] | None = None, certificate: tuple[Path, Path] | None = None
) -> AsyncIterator[Studio]:
    """A running camera behind an RTSP server."""
    clock = SystemClock()
    stream = Stream("yard", clock=clock)
    encoder = Encoder("yard", Encode(bitrate="1M"), clock=clock)

    async def film() -> None:
        loop, index = asyncio.get_running_loop(), 0
        with ThreadPoolExecutor(1, thread_name_prefix="encode") as thread:
            while True:
                frame = sealed(picture(index, WIDTH, HEIGHT), captured=clock.monotonic(), index=index)
                keyframe = stream.take_keyframe_request()
                for one in await loop.run_in_executor(
                    thread, lambda f=frame, k=keyframe: encoder.encode(f, keyframe=k)
                ):
                    stream.write(one)
                index += 1
                await asyncio.sleep(1 / FPS)

    secure = {}
    if certificate is not None:
        secure = {"tls_listen": "127.0.0.1:0", "certificate": str(certificate[0]), "key": str(certificate[1])}
    settings = Rtsp(listen="127.0.0.1:0", **secure)
    access = Access(viewers or {})
    async with asyncio.TaskGroup() as tasks:
        filming = tasks.create_task(film(), name="film")
        async with RtspServer({"yard": stream}.get, settings, clock=clock, access=access) as server:
            yield Studio(stream, server)
        filming.cancel()
    encoder.close()


async def run(*command: str) -> tuple[int, bytes, str]:
    """Exit status, output and errors of a player; it is killed, with what it started, when it takes too long."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, output, errors.decode(errors="replace")
