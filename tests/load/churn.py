"""Part d: four hundred viewers come and go, in every way there is, and nothing of them stays.

Twice as many go first, so that what is made once (caches, pools) is there before the counting begins, and the
allocator's arenas have their size: they grow by ten megabytes in the first six hundred, and no more after that.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from tests.load import clip
from tests.load.figures import Figure
from tests.load.rtsp import Reader
from tests.load.servers import CAMERA, Daemon, LoadError, daemon, until
from tests.load.webrtc import Viewer, client

ROUND = 20
"""Viewers at a time: ten browsers and ten players."""
WARM_UP, ROUNDS = 40, 20
"""Rounds before and while it counts."""
GONE_WITHIN = 20.0
"""Seconds after the last one for those who left without a word to be noticed."""
MEMORY = 5.0
"""Megabytes."""


async def measure(work: Path) -> list[Figure]:
    picture = clip.make(work / "clip.mp4")
    # Fewer pictures: it is not their cost that is looked for.
    async with daemon(work, f"file:{picture}", "encode.max_fps=10") as running:
        for number in range(WARM_UP):
            await _round(running, number)
        await _empty(running)
        before = await _least(running)
        for number in range(ROUNDS):
            await _round(running, number)
        await _empty(running)
        await until(lambda: _no_more(running, before), "tasks and descriptors are back", GONE_WITHIN)
        after = await _least(running)
    joins = f"{ROUNDS * ROUND} joins and leaves"
    return [
        Figure("d", f"{joins}: descriptors more", after["descriptors"] - before["descriptors"], "", 0),
        Figure("d", f"{joins}: tasks more", after["tasks"] - before["tasks"], "", 0),
        Figure("d", f"{joins}: threads more", after["threads"] - before["threads"], "", 0),
        Figure("d", f"{joins}: memory more", (after["memory"] - before["memory"]) / 1e6, "MB", MEMORY),
        Figure("d", f"{joins}: Python objects more", after["objects"] - before["objects"]),
        Figure("d", "memory", after["memory"] / 1e6, "MB"),
    ]


async def _no_more(running: Daemon, before: dict[str, int]) -> bool:
    now = await running.ask("stats")
    return now["descriptors"] <= before["descriptors"] and now["tasks"] <= before["tasks"]


async def _least(running: Daemon) -> dict[str, int]:
    """The least of some looks: pictures on their way come and go, a megabyte each."""
    looks = []
    for _ in range(15):
        looks.append(await running.ask("stats"))
        await asyncio.sleep(0.1)
    return {name: min(look[name] for look in looks) for name in looks[0]}


async def _round(running: Daemon, number: int) -> None:
    """Browsers leave by DELETE, by closing, and without a word; players by TEARDOWN and by cutting the line."""
    async with client(number) as http:
        viewers = [Viewer(http, running.http, CAMERA) for _ in range(ROUND // 2)]
        readers = [Reader(running.rtsp, CAMERA) for _ in range(ROUND // 2)]
        async with asyncio.TaskGroup() as joining:
            for one in (*viewers, *readers):
                joining.create_task(one.join(), name="join")
        async with asyncio.TaskGroup() as playing:
            reading = [playing.create_task(reader.run(), name="read") for reader in readers]
            async with asyncio.timeout(15):
                while not all(one.arrivals.first_picture for one in (*viewers, *readers)):  # noqa: ASYNC110 (no event)
                    await asyncio.sleep(0.02)
            for place, viewer in enumerate(viewers):
                # One in ten is gone without a word: each of those stays for twelve seconds.
                await (viewer.vanish() if place == 0 else viewer.close() if place % 2 else viewer.leave())
            for place, reader in enumerate(readers):
                if place % 2:
                    reader.vanish()
                else:
                    await reader.leave()
            await asyncio.sleep(0.05)
            for task in reading:
                task.cancel()


async def _empty(running: Daemon) -> None:
    async def nobody() -> bool:
        return (await running.metrics()).value("viewers") == 0

    with contextlib.suppress(LoadError):
        await until(nobody, "nobody watches", GONE_WITHIN)
    # The last connections close after their readers.
    await asyncio.sleep(3.5)
