"""A camera behind the real server, on real time, for players that are programs of their own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from faceanond.access import Access
from faceanond.clock import SystemClock
from faceanond.config.model import Rtsp, Viewer
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from tests.publish.filming import camera

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
    secure = {}
    if certificate is not None:
        secure = {"tls_listen": "127.0.0.1:0", "certificate": str(certificate[0]), "key": str(certificate[1])}
    settings = Rtsp(listen="127.0.0.1:0", **secure)
    access = Access(viewers or {})
    async with (
        camera() as stream,
        RtspServer({"yard": stream}.get, settings, clock=SystemClock(), access=access) as server,
    ):
        yield Studio(stream, server)


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
