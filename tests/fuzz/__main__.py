"""`python -m tests.fuzz --minutes N [--seed S] [--only TARGET]`: exits with 1 when anything happened that must not.

Every input follows from the seed, the target and its number. Inputs before a defect are written to `--save`, and where
one of them alone brings it about again, it is cut down to what matters.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from faceanond.daemon.run import prepare_process
from tests.fuzz.daemon import Held, Running, running
from tests.fuzz.live_http import HttpBytes, HttpRoutes, Whep
from tests.fuzz.live_media import Media, RtspSocket, RtspUdp
from tests.fuzz.media_servers import RtspAnswers, WhipAnswers
from tests.fuzz.shrink import shrunk
from tests.fuzz.targets import Offers, Rtcp, RtspText, Target
from tests.fuzz.watch import Watch

TURN = 1.0
"""Seconds for one target before the next one has its turn."""
WARM_UP = 0.25
"""Share of the time before memory counts: caches fill, arenas grow."""
SPARE_DESCRIPTORS = 3
"""An idle daemon has 11 to 13 from one run to the next; what inputs leave open would be many times that."""
GROWTH = 16_000_000
"""Bytes of memory that may be more at the end than after the warm-up: the allocator's own swing is a few millions."""
NAMES = (
    *("sdp", "rtcp", "rtsp", "rtsp-answers", "whip-answers"),
    *("http-bytes", "http-routes", "whep", "rtsp-socket", "rtsp-udp", "media"),
)


class Fuzzer:
    """One run."""

    def __init__(self, seed: int, watch: Watch) -> None:
        self.counts: dict[str, int] = {}
        self._seed = seed
        self._watch = watch

    def case(self, target: Target, number: int) -> bytes:
        """The input of that number."""
        return target.make(random.Random(f"{self._seed}/{target.name}/{number}"))

    async def try_one(self, target: Target, data: bytes) -> None:
        """One input; whatever goes wrong is noted."""
        self._watch.begin(target.name, data)
        # CPU, not the clock on the wall: other processes may have had the machine.
        began = time.thread_time()
        try:
            async with asyncio.timeout(target.deadline):
                await target.run(data)
        except TimeoutError:
            self._watch.found(f"{target.name}: no end", f"after {target.deadline:.0f} s")
        except Exception as error:  # noqa: BLE001 (that is what is looked for)
            self._watch.found(f"{target.name}: {type(error).__name__}", _told(error))
        if time.thread_time() - began > target.deadline:
            self._watch.found(f"{target.name}: slow", f"{time.thread_time() - began:.1f} s of CPU")

    async def turn(self, target: Target) -> None:
        """Some inputs for one target."""
        until = time.monotonic() + TURN
        number = self.counts.get(target.name, 0)
        while time.monotonic() < until:
            if target.at_once == 1:
                await self.try_one(target, self.case(target, number))
            else:
                async with asyncio.TaskGroup() as tasks:
                    for one in range(number, number + target.at_once):
                        tasks.create_task(self.try_one(target, self.case(target, one)), name="input")
            number += target.at_once
            if number % 50 == 0:
                await asyncio.sleep(0)
        self.counts[target.name] = number


async def fuzz(minutes: float, seed: int, only: list[str], folder: Path, save: Path) -> int:
    watch = Watch()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(watch.watching())
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        pulse = tasks.create_task(watch.pulse(), name="pulse")
        stack.callback(pulse.cancel)
        daemon = await stack.enter_async_context(running(folder))
        media = await stack.enter_async_context(Media(daemon))
        live = (HttpBytes(daemon), HttpRoutes(daemon), Whep(daemon), RtspSocket(daemon), RtspUdp(daemon), media)
        targets: list[Target] = [Offers(), Rtcp(), RtspText(), RtspAnswers(), WhipAnswers(), *live]
        targets = [target for target in targets if not only or target.name in only]
        fuzzer = Fuzzer(seed, watch)
        await asyncio.sleep(1)
        await _run(fuzzer, watch, daemon, media, targets, 60 * minutes)
        for number, defect in enumerate(watch.defects.values(), 1):
            print(f"\n{number}. {defect.what} ({defect.times} times)\n{defect.detail[:3000]}")
            for place, (name, data) in enumerate(defect.recent):
                (save / f"{number}-{place:02}-{name}").write_bytes(data)
        defects = len(watch.defects)
        if defects:
            await shrunk(fuzzer, watch, targets, save)
            print(f"inputs are in {save}")
    total = sum(fuzzer.counts.values())
    print(f"{total} inputs: " + ", ".join(f"{name} {count}" for name, count in fuzzer.counts.items()))
    print(f"{defects} defects")
    return 1 if defects else 0


async def _run(
    fuzzer: Fuzzer, watch: Watch, daemon: Running, media: Media, targets: list[Target], seconds: float
) -> None:
    """All the turns, and the looks at what stays."""
    idle = await daemon.idle()
    began = time.monotonic()
    warm: Held | None = None
    # It ends at SIGINT and SIGTERM, and so do we then.
    while (passed := time.monotonic() - began) < seconds and not daemon.task.done():
        if warm is None and passed > WARM_UP * seconds:
            warm = await _drained(daemon, media, idle, watch)
        for target in targets:
            await fuzzer.turn(target)
    last = await _drained(daemon, media, idle, watch)
    if warm is not None and last.memory - warm.memory > GROWTH:
        watch.found("memory grows", f"from {warm.memory / 1e6:.1f} to {last.memory / 1e6:.1f} MB")
    if warm is not None:
        print(
            f"idle {idle.tasks} tasks, {idle.descriptors} descriptors; in the end {last.tasks}, {last.descriptors}; "
            f"memory {warm.memory / 1e6:.1f} MB after the warm-up, {last.memory / 1e6:.1f} MB in the end"
        )


async def _drained(daemon: Running, media: Media, idle: Held, watch: Watch) -> Held:
    await media.stop()
    held = await daemon.drained(idle)
    if held.tasks > idle.tasks:
        names = sorted(task.get_name() for task in asyncio.all_tasks())
        watch.found("tasks stay", f"{held.tasks} instead of {idle.tasks}: {', '.join(names)}")
    if held.descriptors > idle.descriptors + SPARE_DESCRIPTORS:
        watch.found("descriptors stay", f"{held.descriptors} instead of {idle.descriptors}")
    return held


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", action="append", choices=NAMES, default=[], help="one target; repeatable")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="where inputs go that brought a defect about")
    arguments = parser.parse_args()
    save = arguments.save or Path(tempfile.mkdtemp(prefix="faceanond-fuzz-"))
    save.mkdir(parents=True, exist_ok=True)
    print(f"seed {arguments.seed}", flush=True)
    for name in ("aiortc", "aioice", "asyncio", "aiohttp"):
        logging.getLogger(name).setLevel(logging.WARNING)
    prepare_process()
    with tempfile.TemporaryDirectory(prefix="faceanond-fuzz-") as folder:
        return asyncio.run(fuzz(arguments.minutes, arguments.seed, arguments.only, Path(folder), save))


if __name__ == "__main__":
    sys.exit(main())
