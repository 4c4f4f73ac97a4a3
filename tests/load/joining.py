"""Part e: how long a new viewer looks at nothing, from the offer to the first whole keyframe.

Twenty come within two seconds, three times; nobody is there before them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.load import clip
from tests.load.figures import Figure, quantile
from tests.load.servers import CAMERA, Daemon, daemon
from tests.load.webrtc import Viewer, client, reporting

VIEWERS, WITHIN, TIMES = 20, 2.0, 3
PATIENCE = 20.0


async def measure(work: Path) -> list[Figure]:
    picture = clip.make(work / "clip.mp4")
    waits: list[float] = []
    async with daemon(work, f"file:{picture}") as running:
        for number in range(TIMES):
            waits += await _wave(running, number)
            # So that nobody starts with the keyframe of the wave before.
            await asyncio.sleep(2)
    crowd = f"{VIEWERS} viewers join in {WITHIN:.0f} s"
    return [
        Figure("e", f"{crowd}: first picture, median", 1000 * quantile(waits, 0.5), "ms", 500),
        Figure("e", f"{crowd}: first picture, p95", 1000 * quantile(waits, 0.95), "ms", 1500),
        Figure("e", f"{crowd}: first picture, worst", 1000 * max(waits), "ms"),
    ]


async def _wave(running: Daemon, number: int) -> list[float]:
    viewers: list[Viewer] = []

    async def one(place: int) -> float:
        await asyncio.sleep(place * WITHIN / VIEWERS)
        viewer = Viewer(http, running.http, CAMERA)
        await viewer.join()
        viewers.append(viewer)
        async with asyncio.timeout(PATIENCE):
            while viewer.arrivals.first_picture is None:  # noqa: ASYNC110 (no event)
                await asyncio.sleep(0.02)
        return viewer.arrivals.first_picture - viewer.asked

    async with client(number) as http, reporting(viewers):
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(one(place), name="join") for place in range(VIEWERS)]
        for viewer in viewers:
            await viewer.close()
    return [task.result() for task in waits]
