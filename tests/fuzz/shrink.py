"""Cuts an input down to what brings its defect about, where one input alone does and it is quick."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.fuzz.targets import Target
from tests.fuzz.watch import Watch

PATIENCE = 10.0
"""Seconds for one defect."""
AFTERWARDS = 0.05
"""Seconds in which a defect shows after its input."""


class Tries(Protocol):
    async def try_one(self, target: Target, data: bytes) -> None: ...


async def shrunk(tries: Tries, watch: Watch, targets: Sequence[Target], save: Path) -> None:
    """Writes `NUMBER-smallest-TARGET` for each defect that the last of its inputs shows again."""
    known = {target.name: target for target in targets}
    for number, (kind, defect) in enumerate(list(watch.defects.items()), 1):
        name, data = defect.recent[-1] if defect.recent else ("", b"")
        if name not in known:
            continue

        async def shows(candidate: bytes, name: str = name, kind: str = kind) -> bool:
            before = watch.defects[kind].times
            with contextlib.suppress(Exception):
                await tries.try_one(known[name], candidate)
            await asyncio.sleep(AFTERWARDS)
            return watch.defects[kind].times > before

        if not await shows(data):
            continue
        until, step = time.monotonic() + PATIENCE, len(data) // 2
        while step and time.monotonic() < until:
            place = 0
            while place < len(data) and time.monotonic() < until:
                candidate = data[:place] + data[place + step :]
                if await shows(candidate):
                    data = candidate
                else:
                    place += step
            step //= 2
        (save / f"{number}-smallest-{name}").write_bytes(data)
        print(f"{number}. smallest input, {len(data)} bytes: {data[:400]!r}")
