"""A viewer: decodes what was published and reads which frame each picture shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from faceanond.frames import Verdict
from faceanond.publish.packet import CLOCK_RATE, EncodedPacket
from tests.scenes import barcode
from tests.scenes.scene import START


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One published picture as a viewer sees it: `number` is what its barcode says, `verdict` and `captured` what its
    packet or the report's line says."""

    luma: NDArray[np.uint8]
    number: int | None
    verdict: Verdict
    captured: float


def fresh(seen: Sequence[Seen]) -> list[Seen]:
    """Without what is held: with look-ahead, or on a busy machine, a frame comes late, and that is no fault."""
    return [picture for picture in seen if picture.verdict is not Verdict.HELD]


def watch(packets: Sequence[EncodedPacket]) -> list[Seen]:
    """Every packet decoded: one picture each, in order."""
    context = av.CodecContext.create("h264", "r")
    context.thread_count = 1
    told = {packet.timestamp: packet for packet in packets}
    pictures: list[VideoFrame] = []
    for packet in packets:
        one: av.Packet = av.Packet(packet.data)
        one.pts = one.dts = packet.timestamp
        one.time_base = Fraction(1, CLOCK_RATE)
        pictures += context.decode(one)
    pictures += context.decode(None)
    assert len(pictures) == len(packets), "a packet that no viewer can decode"
    seen = []
    for picture in pictures:
        assert picture.pts is not None
        packet, (luma, number) = told[picture.pts], _read(picture)
        seen.append(Seen(luma, number, packet.verdict, packet.captured))
    return seen


def watch_file(path: Path) -> list[Seen]:
    """The same of a finished file, whose report lies beside it."""
    lines = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    with av.open(str(path)) as container:
        pictures = [_read(picture) for picture in container.decode(video=0)]
    return [
        Seen(luma, number, Verdict(line["verdict"]), START + line["pts"])
        for (luma, number), line in zip(pictures, lines, strict=True)
    ]


def _read(picture: VideoFrame) -> tuple[NDArray[np.uint8], int | None]:
    """The luma and the number."""
    width, height = picture.width, picture.height
    planes = np.asarray(picture.to_ndarray(format="yuv420p"), np.uint8).reshape(-1)
    luma, u = np.split(planes[: width * height * 5 // 4], [width * height])
    return luma.reshape(height, width).copy(), barcode.read(u.reshape(height // 2, width // 2))
