"""Parts a to c: what one more viewer costs, and how fifty fare.

The daemon is measured with 0, 5, 20, 50 and again 0 viewers over WebRTC, then with 50 over RTSP/TCP, and the stock
sender of the same picture with 1, 3 and again 1. CPU is that of the server's process, user and system, over a steady
window; it is told per second of 25 pictures, in case the machine is too slow for all of them. The price of one viewer
is the slope.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.load import clip
from tests.load.figures import Figure, slope
from tests.load.process import Process
from tests.load.rtsp import Reader
from tests.load.servers import CAMERA, Daemon, Server, daemon, stock
from tests.load.webrtc import Viewer, client, reporting

WINDOW = 8.0
"""Seconds of each measurement."""
SETTLE = 2.0
"""Seconds before it, after the last viewer has joined."""
OURS = (0, 5, 20, 50, 0)
MANY = 50
STOCK = (1, 3, 1)


@dataclass(frozen=True)
class Load:
    """One window: CPU in percent of a core per 25 pictures a second; what the viewers got, summed over them."""

    viewers: int
    server: float
    clients: float
    pictures: float
    megabits: float
    lost: int


async def measure(work: Path, *, profile: Path | None = None) -> list[Figure]:
    picture = clip.make(work / "clip.mp4")
    async with daemon(work, f"file:{picture}") as running:
        ours = [await _webrtc(running, number) for number in OURS if number < MANY]
        ours.insert(OURS.index(MANY), (many := await _fifty(running, profile))[0])
        rtsp = await _rtsp(running)
        rest = await _webrtc(running, 0)
    theirs = []
    for number in STOCK:
        # A process each time: its relay ends for good with its last viewer.
        async with stock(work, picture) as other, _viewers(other, number) as viewers:
            theirs.append(await _window(other.process, viewers))
    one = slope([(load.viewers, load.server) for load in ours])
    reader = slope([(load.viewers, load.server) for load in (ours[-1], rest, rtsp)])
    stock_one = slope([(load.viewers, load.server) for load in theirs])
    return [
        *(_line("a", "daemon", "WebRTC viewers", load) for load in ours),
        _line("c", "daemon", "RTSP/TCP readers", rtsp),
        *(_line("a", "stock sender", "WebRTC viewers", load) for load in theirs),
        Figure("a", f"{MANY} viewers: cost of the viewers' own process", ours[OURS.index(MANY)].clients, "% of a core"),
        Figure("a", "bit rate of a viewer", ours[OURS.index(MANY)].megabits / MANY, "Mbit/s"),
        Figure("a", "one more stock viewer", stock_one, "% of a core"),
        Figure("a", "one more WebRTC viewer", one, "% of a core"),
        Figure("a", "of a stock viewer's price", one / stock_one, "", 1 / 20),
        *many[1],
        Figure("c", "one more RTSP/TCP reader", reader, "% of a core"),
        Figure("c", "of a WebRTC viewer's price", reader / one, "", 0.5),
        Figure("c", f"{MANY} RTSP/TCP readers: packets lost", rtsp.lost, "", 0),
    ]


def _line(part: str, server: str, kind: str, load: Load) -> Figure:
    return Figure(part, f"{server}, {load.viewers} {kind}", load.server, "% of a core")


async def _webrtc(running: Daemon, number: int) -> Load:
    async with _viewers(running, number) as viewers:
        return await _window(running.process, viewers, running)


async def _fifty(running: Daemon, profile: Path | None) -> tuple[Load, list[Figure]]:
    """The full house: also how late the loop is, and whether anybody loses anything."""
    async with _viewers(running, MANY) as viewers:
        before, lost = await running.metrics(), sum(viewer.arrivals.lost for viewer in viewers)
        if profile is not None:
            await running.ask("profile")
        load = await _window(running.process, viewers, running)
        if profile is not None:
            await running.ask(f"profile {profile}")
        after = await running.metrics()
        lost = sum(viewer.arrivals.lost for viewer in viewers) - lost
    lag = after.histogram("event_loop_lag_seconds").since(before.histogram("event_loop_lag_seconds"))
    slow = 'stage="viewer"'
    dropped = after.value("frames_dropped_total", slow) - before.value("frames_dropped_total", slow)
    return load, [
        Figure("b", f"{MANY} viewers: event loop lag, p50", 1000 * lag.quantile(0.5), "ms"),
        Figure("b", f"{MANY} viewers: event loop lag, p99", 1000 * lag.quantile(0.99), "ms", 50),
        Figure("b", f"{MANY} viewers: packets dropped by the daemon", dropped, "", 0),
        Figure("b", f"{MANY} viewers: packets missing at the viewers", lost, "", 0),
        Figure("b", f"{MANY} viewers: pictures a second at each", load.pictures / MANY / WINDOW, "fps"),
    ]


@contextlib.asynccontextmanager
async def _viewers(server: Server, number: int) -> AsyncIterator[list[Viewer]]:
    """So many viewers that all see a picture."""
    async with client() as http, contextlib.AsyncExitStack() as leaving:
        viewers = [Viewer(http, server.http, CAMERA) for _ in range(number)]
        for viewer in viewers:
            await viewer.join()
            leaving.push_async_callback(viewer.close)
        async with reporting(viewers):
            async with asyncio.timeout(15):
                while not all(viewer.arrivals.first_picture for viewer in viewers):  # noqa: ASYNC110 (no event)
                    await asyncio.sleep(0.05)
            yield viewers


async def _rtsp(running: Daemon) -> Load:
    readers = [Reader(running.rtsp, CAMERA) for _ in range(MANY)]
    async with asyncio.TaskGroup() as tasks:
        for reader in readers:
            await reader.join()
            tasks.create_task(reader.run(), name="rtsp reader")
        load = await _window(running.process, readers, running)
        for reader in readers:
            await reader.leave()
    return load


async def _window(process: Process, viewers: Sequence[Viewer | Reader], running: Daemon | None = None) -> Load:
    await asyncio.sleep(SETTLE)
    own, began = Process(os.getpid()), time.monotonic()
    published = await _published(running)
    cpu, own_cpu = process.cpu(), own.cpu()
    before = [(one.arrivals.pictures, one.arrivals.octets, one.arrivals.lost) for one in viewers]
    await asyncio.sleep(WINDOW)
    cpu, own_cpu, took = process.cpu() - cpu, own.cpu() - own_cpu, time.monotonic() - began
    after = [(one.arrivals.pictures, one.arrivals.octets, one.arrivals.lost) for one in viewers]
    pictures, octets, lost = (sum(a[i] - b[i] for a, b in zip(after, before, strict=True)) for i in range(3))
    # Of the stock sender we only know what arrived.
    shown = (await _published(running) - published) if running is not None else pictures / len(viewers)
    scale = clip.FPS / (shown / took)
    return Load(
        viewers=len(viewers),
        server=100 * cpu / took * scale,
        clients=100 * own_cpu / took,
        pictures=pictures,
        megabits=8e-6 * octets / took,
        lost=lost,
    )


async def _published(running: Daemon | None) -> float:
    return 0.0 if running is None else (await running.metrics()).value("frames_published_total")
