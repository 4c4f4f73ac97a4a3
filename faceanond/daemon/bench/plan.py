"""What is measured, and for how long. Pure.

Every stage has its share of the given seconds and a least number of frames, so large pictures take longer than asked
for rather than give numbers that mean nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from faceanond.capture.demo import MAX_FPS, SMALLEST
from faceanond.capture.pyav_source import LARGEST, MOST_PIXELS
from faceanond.errors import UsageError

SHORTEST, LONGEST = 2.0, 600.0
"""Seconds for all measurements."""
FACES = 3
"""People in the scene. In the clip two or three of them are in the picture, near and far."""
CLIP_FRAMES = 50
"""Different pictures: two seconds at 25 fps. The same on every machine, as far as their size allows, because others
would cost something else."""
CLIP_LENGTH = 1000
"""Pictures until the file begins anew: opening it is not what a camera costs."""
HELD_BYTES = 192 << 20
"""Memory for decoded pictures that wait to be measured. Many of them, so that none is still in the processor's cache:
in the daemon other cameras' pictures come in between."""
LEAST_HELD = 4
CPU_BATCH = 8
"""The batch whose cost is compared with a single frame's."""

CLIP_SHARE = 0.15
"""At most: 50 pictures of 1920x1080 take less on a processor of today."""
DECODE_SHARE, STAGES_SHARE, BATCHES_SHARE, TOGETHER_SHARE = 0.06, 0.25, 0.08, 0.22
"""What is left is for loading libraries, opening networks and cameras, and warming up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The camera that is asked about, and the seconds for all measurements."""

    width: int
    height: int
    fps: float
    seconds: float

    @property
    def held(self) -> int:
        """How many decoded pictures of this size may wait in memory."""
        return max(LEAST_HELD, min(CLIP_FRAMES, HELD_BYTES // (self.width * self.height * 3 // 2)))


def make_plan(size: str, *, fps: float, seconds: float) -> Plan:
    """Raises UsageError that says what was expected."""
    if not SHORTEST <= seconds <= LONGEST:
        raise UsageError(f"--seconds {seconds:g}: expected {SHORTEST:g} to {LONGEST:g}")
    if not 1 <= fps <= MAX_FPS:
        raise UsageError(f"--fps {fps:g}: expected 1 to {MAX_FPS:g} frames a second")
    return Plan(*_size(size), fps, seconds)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
    if match is None:
        raise UsageError(f"--size {text[:40]!r}: expected WIDTHxHEIGHT in pixels, such as 1280x720")
    width, height = int(match[1]), int(match[2])
    if width < SMALLEST[0] or height < SMALLEST[1]:
        raise UsageError(f"--size {width}x{height}: expected at least {SMALLEST[0]}x{SMALLEST[1]}")
    if max(width, height) > LARGEST or width * height > MOST_PIXELS:
        raise UsageError(
            f"--size {width}x{height}: expected at most {LARGEST} pixels a side and {MOST_PIXELS / 1e6:.1f} million in "
            "all, which is H.264's largest picture"
        )
    if width % 2 or height % 2:
        raise UsageError(f"--size {width}x{height}: expected even numbers, as every camera's are")
    return width, height


def batch_sizes(max_batch: int, provider: str) -> list[int]:
    """The batches to compare: one frame and eight, and on a GPU, which gains by them, the largest one."""
    sizes = {1, min(CPU_BATCH, max_batch)}
    return sorted(sizes if provider == "cpu" else sizes | {max_batch})
