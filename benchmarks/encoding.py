"""What encoding costs: H.264 for everybody, VP8 once more for those without, and VP8 while nobody needs it.

    python -m benchmarks.encoding CLIP [WIDTHxHEIGHT ...]

The clip's pictures, scaled, come at 25 a second with the shipped settings. Both encoders see each picture, by turns, so
that whatever else the machine does concerns both. Then H.264 is timed again at the clip's pace, alone and while VP8
encodes the same pictures in a thread of its own, as in the daemon: wall time is what its viewers wait.
"""

from __future__ import annotations

import asyncio
import sys
import time
import timeit
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import av
import numpy as np

from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.clock import SystemClock
from faceanond.config.model import Encode
from faceanond.pipeline.second import SecondEncoding
from faceanond.publish.encoder import Encoder
from faceanond.publish.packet import EncodedPacket
from faceanond.publish.vp8 import Vp8Encoder
from tests.publish.sealed import sealed

FPS = 25
FRAMES = 200
PACED = 150
"""Pictures at the clip's pace: six seconds."""

Encodes = Callable[[AnonymisedFrame], list[EncodedPacket]]


def main() -> None:
    clip, *sizes = sys.argv[1:]
    print("size       codec  CPU ms: mean   p95   Mbit/s  PSNR  largest keyframe (kB)")
    for size in sizes or ["1280x720"]:
        width, height = map(int, size.split("x"))
        pictures = frames(clip, width, height)
        compare(size, pictures)
        alone, beside = paced(pictures, None), paced(pictures, Vp8Encoder("b", Encode(), clock=SystemClock()))
        for name, times in (("alone", alone), ("beside VP8", beside)):
            print(f"{size:9}  H.264 {name:10} wall ms: {mean(times)}, p95 {p95(times)}")
    asyncio.run(idle())


def frames(clip: str, width: int, height: int) -> list[AnonymisedFrame]:
    """The clip's first pictures, there and back until there are enough."""
    found: list[np.ndarray] = []
    with av.open(clip) as container:
        for picture in container.decode(video=0):
            found.append(picture.reformat(width, height, "yuv420p").to_ndarray())
            if len(found) == FRAMES // 2:
                break
    order = [*range(len(found)), *reversed(range(len(found)))]
    return [sealed(found[order[index % len(order)]], captured=index / FPS) for index in range(FRAMES)]


def compare(size: str, pictures: Sequence[AnonymisedFrame]) -> None:
    clock = SystemClock()
    encoders: dict[str, Encodes] = {
        "h264": Encoder("b", Encode(), clock=clock).encode,
        "vp8": Vp8Encoder("b", Encode(), clock=clock).encode,
    }
    times: dict[str, list[float]] = {name: [] for name in encoders}
    packets: dict[str, list[EncodedPacket]] = {name: [] for name in encoders}
    for picture in pictures:
        for name, encode in encoders.items():
            began = time.thread_time()
            packets[name] += encode(picture)
            times[name].append(1000 * (time.thread_time() - began))
    for name, made in packets.items():
        rate = sum(len(packet.data) for packet in made) * 8 * FPS / len(made) / 1e6
        largest = max(len(packet.data) for packet in made if packet.keyframe) / 1000
        print(
            f"{size:9}  {name:5} {mean(times[name]):>13} {p95(times[name]):>5}   {rate:6.2f}  "
            f"{psnr(name, made, pictures):4.1f}  {largest:.0f}"
        )


def psnr(codec: str, packets: Sequence[EncodedPacket], pictures: Sequence[AnonymisedFrame]) -> float:
    """Of the luma, the mean over every tenth picture."""
    decoder = av.CodecContext.create(codec, "r")
    shown = [picture for packet in packets for picture in decoder.decode(av.Packet(packet.data))]
    shown += decoder.decode(None)
    assert len(shown) == len(pictures)
    found = []
    for picture, back in list(zip(pictures, shown, strict=True))[::10]:
        height = picture.height
        error = picture.i420[:height].astype(float) - back.to_ndarray()[:height]
        found.append(10 * np.log10(255**2 / max(1e-9, float((error**2).mean()))))
    return float(np.mean(found))


def paced(pictures: Sequence[AnonymisedFrame], other: Vp8Encoder | None) -> list[float]:
    """Wall milliseconds of each H.264 encoding at the clip's pace; `other` gets each picture just behind it."""
    one, times, busy = Encoder("b", Encode(), clock=SystemClock()), [], Future[object]()
    busy.set_result(None)
    with ThreadPoolExecutor(1) as thread:
        due = time.perf_counter()
        for picture in pictures[:PACED]:
            time.sleep(max(0.0, due - time.perf_counter()))
            due += 1 / FPS
            began = time.perf_counter()
            one.encode(picture)
            times.append(1000 * (time.perf_counter() - began))
            if other is not None and busy.done():
                busy = thread.submit(other.encode, picture)  # type: ignore[assignment]
    return times


async def idle() -> None:
    """What a picture costs while nobody watches in VP8."""
    second = SecondEncoding("b", Encode(), clock=SystemClock())
    picture = sealed(np.full((72, 64), 128, np.uint8))
    runs = 100_000
    cost = timeit.timeit(lambda: second.offer(picture), number=runs) / runs
    print(f"VP8 without a viewer: {1e6 * cost:.2f} us a picture")


def mean(times: Sequence[float]) -> str:
    return f"{np.mean(times):.1f}"


def p95(times: Sequence[float]) -> str:
    return f"{np.percentile(times, 95):.1f}"


if __name__ == "__main__":
    main()
