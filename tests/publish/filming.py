"""A running camera with the real encoder, in real time, for players and servers that are programs of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from faceanond.clock import SystemClock
from faceanond.config.model import Encode
from faceanond.publish.encoder import Encoder
from faceanond.publish.stream import Stream
from tests.publish.sealed import picture, sealed

WIDTH, HEIGHT, FPS = 320, 240, 25


@asynccontextmanager
async def camera() -> AsyncIterator[Stream]:
    """The stream of the camera "yard"."""
    clock = SystemClock()
    stream = Stream("yard", clock=clock)
    encoder = Encoder("yard", Encode(bitrate="1M"), clock=clock)

    async def film() -> None:
        loop, index = asyncio.get_running_loop(), 0
        with ThreadPoolExecutor(1, thread_name_prefix="encode") as thread:
            while True:
                frame = sealed(picture(index, WIDTH, HEIGHT), captured=clock.monotonic(), index=index)
                keyframe = stream.take_keyframe_request()
                for one in await loop.run_in_executor(
                    thread, lambda f=frame, k=keyframe: encoder.encode(f, keyframe=k)
                ):
                    stream.write(one)
                index += 1
                await asyncio.sleep(1 / FPS)

    async with asyncio.TaskGroup() as tasks:
        filming = tasks.create_task(film(), name="film")
        try:
            yield stream
        finally:
            filming.cancel()
    encoder.close()
