"""Other detectors as child processes, and the frames that all of them are shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from tests.frames_util import Rgb

OURS = ("faceanond", "faceanond-float")
SIZES = ((1280, 720), (1920, 1080))
FRAMES = {
    "head-pose-face-detection-female-and-male.mp4": (10, 40),
    "face-demographics-walking-and-pause.mp4": (20,),
    "short_hamilton_clip.mp4": (10, 60, 150),
    "asl_brother.mkv": (30,),
    "webcam_cap12_400x300.mp4": (50,),
    "street_royal_opera_1080p.mp4": (37, 41, 45),
}
"""Frames with one to five faces that somebody can be seen by, of every kind of clip there is."""

Rows = list[list[float]]


class Peer:
    """One detector, ready and waiting for frames."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, key: str) -> tuple[float, Rows]:
        """Seconds and boxes for a frame. Raises RuntimeError when the process ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{key}\n")
        self._process.stdin.flush()
        seconds, rows = json.loads(self.line())
        return seconds, rows

    def line(self) -> str:
        """The next line that it says."""
        said: IO[str] | None = self._process.stdout
        line = said.readline() if said is not None else ""
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended")
        return line


@contextmanager
def peers(names: list[str], frames: Path, python: str, graph: Path | None, cpu: int) -> Iterator[dict[str, Peer]]:
    """Starts the detectors on one CPU: ours with this Python, the others with `python`."""
    worker = str(Path(__file__).with_name("worker.py"))
    root = str(Path(__file__).resolve().parent.parent)
    with ExitStack() as stack:
        started = {}
        for name in names:
            command = [sys.executable if name in OURS else python, worker, name, str(frames)]
            command += ["--graph", str(graph)] if graph is not None else []
            process = subprocess.Popen(
                ["taskset", "-c", str(cpu), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONPATH": root},
            )
            stack.callback(process.kill)
            started[name] = Peer(process)
            started[name].line()
        yield started


def clip_frames(clips: Path, wanted: Mapping[str, set[int]]) -> Iterator[tuple[str, int, Rgb]]:
    """The frames of clips by number, in decoding order: (clip, number, RGB)."""
    for clip, numbers in wanted.items():
        video = cv2.VideoCapture(str(clips / clip))
        for number in range(max(numbers) + 1):
            if not video.grab():
                break
            if number in numbers:
                yield clip, number, np.ascontiguousarray(video.retrieve()[1][:, :, ::-1], dtype=np.uint8)


def speed_frames(clips: Path) -> dict[str, Rgb]:
    """FRAMES in both SIZES, cut to 16:9; the key begins with the width."""
    found: dict[str, Rgb] = {}
    for clip, number, rgb in clip_frames(clips, {clip: set(numbers) for clip, numbers in FRAMES.items()}):
        height, width = rgb.shape[:2]
        cut = rgb[(height - width * 9 // 16) // 2 :][: width * 9 // 16]
        for size in SIZES:
            how = cv2.INTER_AREA if size[0] < width else cv2.INTER_CUBIC
            found[f"{size[0]} {clip} #{number}"] = np.asarray(cv2.resize(cut, size, interpolation=how), np.uint8)
    return found
