"""Packets for recordings: of a real encoder, so that players can be asked, or made up, so that sizes are known."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

from faceanond.clock import SystemClock
from faceanond.config.model import Encode
from faceanond.publish import fmp4, h264
from faceanond.publish.encoder import Encoder
from faceanond.publish.packet import CLOCK_RATE, EncodedPacket
from tests.conftest import need_tool
from tests.publish.sealed import moving, packet

FPS = 25
TICKS = CLOCK_RATE // FPS


def film(
    seconds: float,
    *,
    start: float = 1000.0,
    interval: float = 1.0,
    size: tuple[int, int] = (64, 48),
    fps: float = FPS,
) -> list[EncodedPacket]:
    """What the real encoder, told of FPS, makes of a steady camera from that monotonic second on."""
    encoder = Encoder("yard", Encode(keyframe_interval=interval, bitrate=200_000), clock=SystemClock(), fps=FPS)
    packets: list[EncodedPacket] = []
    for index in range(round(seconds * fps)):
        packets += encoder.encode(moving(index, fps=fps, width=size[0], height=size[1], start=start))
    encoder.close()
    return packets


def fake(
    count: int, *, start: float = 1000.0, every: int = FPS, size: int = 1000, first: int = 0
) -> list[EncodedPacket]:
    """Packets of a known size that no decoder has to understand, one keyframe in so many."""
    return [
        replace(
            packet(first + number, keyframe=number % every == 0, size=size),
            timestamp=round(start * CLOCK_RATE) + (first + number) * TICKS,
            captured=start + (first + number) / FPS,
        )
        for number in range(count)
    ]


def pieces(packets: list[EncodedPacket], *, each: int = FPS) -> tuple[bytes, list[bytes]]:
    """(init segment, fragments of so many pictures), as a recorder writes them."""
    sets = h264.parameter_sets(packets[0].data)
    assert sets is not None
    head = fmp4.init_segment(sets, packets[0].width, packets[0].height)
    fragments = []
    for number, place in enumerate(range(0, len(packets), each), start=1):
        some = packets[place : place + each]
        fragments.append(fmp4.fragment(number, some, origin=packets[0].timestamp, end=some[-1].timestamp + TICKS))
    return head, fragments


def probed(path: Path) -> tuple[int, float]:
    """(pictures, seconds) that ffprobe decodes in a file; it must have nothing to complain about."""
    entries = "stream=nb_read_frames:format=duration"
    command = [need_tool("ffprobe"), "-v", "warning", "-count_frames", "-show_entries", entries, "-of", "json", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), f"{path.name}: {done.stderr}"
    told = json.loads(done.stdout)
    return int(told["streams"][0]["nb_read_frames"]), float(told["format"]["duration"])
