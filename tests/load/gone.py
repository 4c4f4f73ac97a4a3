"""Part g: who is gone frees its place, who never came takes none for long, and a full house says so."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path

from tests.load import clip
from tests.load.figures import Figure
from tests.load.servers import CAMERA, Daemon, LoadError, daemon, until
from tests.load.webrtc import JoinError, Viewer, client

PLACES = 4
KILLED, UNANSWERED = 12.0, 10.0
"""Seconds."""


async def measure(work: Path) -> list[Figure]:
    picture = clip.make(work / "clip.mp4")
    async with daemon(work, f"file:{picture}", f"webrtc.max_viewers={PLACES}", "encode.max_fps=10") as running:
        idle = await _idle(running)
        killed = await _killed(running)
        await until(lambda: _back(running, idle), "everything of the killed one is freed", 5)
        refused, unanswered = await _unanswered(running, idle)
    return [
        Figure("g", "a killed viewer is gone after", killed, "s", KILLED),
        Figure("g", "offers that nobody followed up are gone after", unanswered, "s", UNANSWERED),
        Figure("g", "answer to one viewer too many (503): Retry-After", refused, "s"),
    ]


async def _killed(running: Daemon) -> float:
    """Seconds from SIGKILL until the daemon counts one viewer less."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.load.victim", running.http, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    if not await process.stdout.readline():
        raise LoadError("the viewer that was to be killed could not join")

    async def nobody() -> bool:
        return (await running.metrics()).value("viewers", 'protocol="webrtc"') == 0

    process.kill()
    await process.wait()
    return await until(nobody, "the killed viewer is noticed", 2 * KILLED)


async def _unanswered(running: Daemon, idle: dict[str, int]) -> tuple[float, float]:
    """(Retry-After for one offer too many, seconds from the last good one until nothing is left of any)."""
    async with client() as http, contextlib.AsyncExitStack() as closing:
        viewers = [Viewer(http, running.http, CAMERA) for _ in range(PLACES + 1)]
        for viewer in viewers[:PLACES]:
            closing.push_async_callback(viewer.close)
            await viewer.post(await viewer.offer())
        closing.push_async_callback(viewers[PLACES].close)
        try:
            await viewers[PLACES].post(await viewers[PLACES].offer())
        except JoinError as error:
            if error.status != 503:
                raise
            refused = float(error.headers["Retry-After"])
        else:
            raise LoadError(f"webrtc.max_viewers={PLACES} let {PLACES + 1} in")
        asked = viewers[PLACES - 1].asked
        # The browser's HTTP connection would be counted for as long as it is kept.
        await http.close()
        await until(lambda: _back(running, idle), "nothing is left of unanswered offers", 3 * UNANSWERED)
        return refused, time.monotonic() - asked


async def _idle(running: Daemon) -> dict[str, int]:
    """What the daemon holds while nobody watches: the most of a few looks, since its own tasks come and go."""
    looks = [await running.ask("stats") for _ in range(10)]
    return {name: max(look[name] for look in looks) for name in looks[0]}


async def _back(running: Daemon, idle: dict[str, int]) -> bool:
    now = await running.ask("stats")
    return now["descriptors"] <= idle["descriptors"] and now["tasks"] <= idle["tasks"]
