"""Real media servers for the tests: GStreamer's RTSP server, and FFmpeg waiting to be sent something."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import need_tool

USER, PASSWORD = "viewer", "geheim:@/?#"
SYSTEM_PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("gst_record_server.py")


@dataclass
class GstServer:
    """`pictures` grows by (width, height, mean luma) with each picture that the server decodes."""

    process: asyncio.subprocess.Process
    port: int
    pictures: list[tuple[int, int, int]] = field(default_factory=list)

    async def watch(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if not line.endswith(b"\n"):
                return  # killed in the middle of it
            width, height, luma = (int(word) for word in line.split())
            self.pictures.append((width, height, luma))

    def hang(self) -> None:
        """Stops the process as it is: its connections stay, and nobody reads them."""
        os.kill(self.process.pid, signal.SIGSTOP)


@contextlib.asynccontextmanager
async def gst_server(*options: str) -> AsyncIterator[GstServer]:
    """GStreamer's RTSP server, recording at /yard."""
    need_tool("gst-inspect-1.0")
    process = await asyncio.create_subprocess_exec(
        SYSTEM_PYTHON, str(SCRIPT), *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        port = (await process.stdout.readline()).strip()
        if not port:
            message = "GStreamer's RTSP server does not start (apt-get install python3-gi gir1.2-gst-rtsp-server-1.0)"
            pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
        server = GstServer(process, int(port))
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(server.watch(), name="gst: watch")
            try:
                yield server
            finally:
                watching.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
