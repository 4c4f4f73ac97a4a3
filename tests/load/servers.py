"""The processes that are measured: the daemon, and the stock sender."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.daemon import free_port
from tests.load.process import Process

CAMERA = "yard"
START_WITHIN = 60.0
"""Seconds for a server to be ready, on a busy machine."""


class LoadError(Exception):
    """The measurement cannot go on."""


@dataclass
class Server:
    """A running process with an HTTP port."""

    process: Process
    http: str

    async def get(self, path: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(self.http + path) as response:
            return await response.text()


@dataclass
class Daemon(Server):
    """`faceanond run`, inside `tests.load.host`."""

    rtsp: int
    control: Path
    log: Path

    async def ask(self, question: str) -> dict[str, int]:
        """What `tests.load.host` answers."""
        reader, writer = await asyncio.open_unix_connection(str(self.control))
        writer.write(f"{question}\n".encode())
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return dict(json.loads(answer))

    async def metrics(self) -> Metrics:
        return Metrics(await self.get("/metrics"))

    async def status(self) -> dict[str, Any]:
        return dict(json.loads(await self.get(f"/api/cameras/{CAMERA}")))


class Metrics:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, name: str, *labels: str) -> float:
        """The sum of all samples of a metric that carry these labels (`protocol="webrtc"`)."""
        found = re.findall(rf"^faceanond_{name}(?:\{{(.*)\}})? (\S+)$", self._text, re.MULTILINE)
        return sum(float(value) for given, value in found if all(label in given for label in labels))

    def histogram(self, name: str) -> Distribution:
        found = re.findall(rf'^faceanond_{name}_bucket\{{.*?le="([^"]+)".*\}} (\S+)$', self._text, re.MULTILINE)
        counts = {float(bound): float(count) for bound, count in found}
        return Distribution(counts, self.value(f"{name}_sum"))


@dataclass(frozen=True)
class Distribution:
    """A histogram's cumulative counts by upper bound, and the sum of what it saw."""

    counts: dict[float, float]
    total: float

    def since(self, before: Distribution) -> Distribution:
        counts = {bound: count - before.counts.get(bound, 0) for bound, count in self.counts.items()}
        return Distribution(counts, self.total - before.total)

    @property
    def count(self) -> float:
        return max(self.counts.values(), default=0.0)

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Interpolated inside its bucket, as Prometheus does."""
        wanted, below, seen = share * self.count, 0.0, 0.0
        for bound, count in sorted(self.counts.items()):
            if count >= wanted and count > seen:
                return below + (bound - below) * (wanted - seen) / (count - seen) if bound != float("inf") else below
            below, seen = bound, count
        return below


@contextlib.asynccontextmanager
async def daemon(folder: Path, source: str, *settings: str) -> AsyncIterator[Daemon]:
    """The daemon with one camera, ready and publishing. `settings` are further `--set`s."""
    http, rtsp = free_port(), free_port()
    control, log, config = folder / f"{http}.sock", folder / f"daemon-{http}.log", folder / f"{http}.toml"
    # A face of half the picture's height is enough: detection costs the same with any number of viewers.
    config.write_text(
        f'[http]\nlisten = "127.0.0.1:{http}"\n[rtsp]\nlisten = "127.0.0.1:{rtsp}"\nmax_sessions = 500\n'
        "max_per_address = 500\n"
        f"[webrtc]\nmax_viewers = 500\n[detector]\nmin_size = 240\n[anonymise]\nlegend = []\n"
        f'[cameras.{CAMERA}]\nsource = "{source}"\n'
    )
    extra = [word for setting in settings for word in ("--set", setting)]
    command = ("-m", "tests.load.host", str(control), "run", "-c", str(config), *extra)
    async with _process(log, *command) as process:
        running = Daemon(Process(process.pid), f"http://127.0.0.1:{http}", rtsp, control, log)

        async def publishing() -> bool:
            if process.returncode is not None:
                raise LoadError(f"the daemon ended:\n{log.read_text()[-3000:]}")
            return (await running.metrics()).value("frames_published_total", 'verdict="clean"') >= 25

        await until(publishing, "the daemon publishes", START_WITHIN)
        yield running
        text = log.read_text()
        if '"level": "error"' in text or "Traceback" in text:
            raise LoadError(f"the daemon logged errors:\n{text[-3000:]}")


@contextlib.asynccontextmanager
async def stock(folder: Path, clip: Path) -> AsyncIterator[Server]:
    """The stock sender of the clip."""
    port = free_port()
    async with _process(folder / "stock.log", "-m", "tests.load.stock", str(port), str(clip)) as process:
        running = Server(Process(process.pid), f"http://127.0.0.1:{port}")

        async def listens() -> bool:
            await running.get("/")
            return True

        await until(listens, "the stock sender listens", START_WITHIN)
        yield running


@contextlib.asynccontextmanager
async def _process(log: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=sink, stderr=sink)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def until(condition: Callable[[], Any], what: str, timeout: float) -> float:
    """Asks until it is true; returns how many seconds that took. Raises LoadError after `timeout`."""
    began = time.monotonic()
    while True:
        try:
            if await condition():
                return time.monotonic() - began
        except (OSError, aiohttp.ClientError):
            pass
        if time.monotonic() - began > timeout:
            raise LoadError(f"not within {timeout:.0f} s: {what}")
        await asyncio.sleep(0.05)
