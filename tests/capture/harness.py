"""How the tests run one attempt against a real server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from faceanond.capture.factory import make_source
from faceanond.capture.source import StreamInfo
from faceanond.capture.thread import capture
from faceanond.clock import SystemClock
from faceanond.config.model import Camera
from faceanond.errors import SourceError
from faceanond.frames import RawFrame


@dataclass
class Outcome:
    """What one attempt gave. `error` is None when it was stopped after enough pictures."""

    infos: list[StreamInfo] = field(default_factory=list)
    frames: list[RawFrame] = field(default_factory=list)
    error: SourceError | None = None


async def attempt(source: str, *, enough: int = 5, timeout: float = 5.0, name: str = "cam", **keys: object) -> Outcome:
    """Captures until it fails, or until there are enough pictures."""
    clock = SystemClock()
    outcome = Outcome()
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    camera = Camera(source=source, timeout=timeout, **keys)

    def deliver(frame: RawFrame) -> None:
        if len(outcome.frames) < enough:
            outcome.frames.append(frame)
        if len(outcome.frames) >= enough:
            loop.call_soon_threadsafe(done.set)

    async def run() -> None:
        try:
            await capture(
                make_source(name, camera, generation=1, clock=clock),
                deliver,
                camera=name,
                timeout=timeout,
                clock=clock,
                on_open=outcome.infos.append,
            )
        except SourceError as error:
            outcome.error = error
            done.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(), name="attempt")
        await done.wait()
        task.cancel()
    return outcome
