"""The values that travel through a pipeline: pictures, faces and verdicts. Nothing here does I/O.

A `RawFrame` never leaves the process: only `anonymise/` turns it into an `AnonymisedFrame`, and everything that
publishes accepts nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]


class Verdict(StrEnum):
    """What was decided about one published frame; the label of `frames_published_total`."""

    CLEAN = "clean"
    MASKED = "masked"
    COASTED = "coasted"
    FULL = "full"
    HELD = "held"


class ColourMatrix(StrEnum):
    """Which matrix turns the planes into RGB."""

    BT601 = "bt601"
    BT709 = "bt709"


@dataclass(frozen=True, slots=True)
class FrameId:
    """Names one picture for ever: `generation` counts the camera's connections, `index` the frames in one."""

    camera: str
    generation: int
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class RawFrame:
    """One decoded picture, 8-bit YUV 4:2:0, as the decoder wrote it. Planes are read-only views with any row stride.

    y: (height, width); u and v: (ceil(height / 2), ceil(width / 2)). `captured` is in monotonic seconds, `pts` in
    seconds since the source's start. `suspect` names why the source itself doubts the picture (a gap, corrupt data);
    such a frame is always concealed. `owner` keeps the planes' memory alive.
    """

    id: FrameId
    # Not in the repr: it may end in a log, and a log is a way out.
    y: Plane = field(repr=False)
    u: Plane = field(repr=False)
    v: Plane = field(repr=False)
    full_range: bool
    matrix: ColourMatrix
    captured: float
    pts: float
    suspect: str | None = None
    owner: object = field(default=None, repr=False)

    def __post_init__(self) -> None:
        height, width = self.y.shape
        chroma = ((height + 1) // 2, (width + 1) // 2)
        if width < 1 or height < 1 or self.u.shape != chroma or self.v.shape != chroma:
            raise ValueError(
                f"planes do not fit each other: y {self.y.shape}, u {self.u.shape}, v {self.v.shape}; "
                f"expected chroma {chroma}"
            )

    @property
    def width(self) -> int:
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        return int(self.y.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the input frame; x2 and y2 are exclusive. May reach over the picture's edge."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def finite(self) -> bool:
        return all(math.isfinite(value) for value in (self.x1, self.y1, self.x2, self.y2))

    def grown(self, share: float) -> Box:
        """The box with `share` of its width and height added on each side."""
        dx, dy = self.width * share, self.height * share
        return Box(self.x1 - dx, self.y1 - dy, self.x2 + dx, self.y2 + dy)

    def clipped(self, width: int, height: int) -> Box:
        """The part inside a picture of that size; may be empty (width or height <= 0)."""
        return Box(max(self.x1, 0.0), max(self.y1, 0.0), min(self.x2, float(width)), min(self.y2, float(height)))

    def shares(self, other: Box) -> float:
        """Their intersection over the smaller of the two; 0 when one has no area."""
        return max(self.held_by(other), other.held_by(self))

    def held_by(self, other: Box) -> float:
        """The share of this box that lies in the other one; 0 when it has no area."""
        area = self.width * self.height
        return self.common(other) / area if area > 0 else 0.0

    def common(self, other: Box) -> float:
        """The area that both cover."""
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        return width * height if width > 0 and height > 0 else 0.0

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    def moved(self, dx: float, dy: float) -> Box:
        """The box elsewhere."""
        return Box(self.x1 + dx, self.y1 + dy, self.x2 + dx, self.y2 + dy)

    def rounded_out(self) -> tuple[int, int, int, int]:
        """The smallest whole-pixel box around this one."""
        return math.floor(self.x1), math.floor(self.y1), math.ceil(self.x2), math.ceil(self.y2)


@dataclass(frozen=True, slots=True)
class Face:
    """One face in one frame: its tight box and its score in 0..1.

    `sure`: whether the score passed the thresholds; a face that is not counts only where a track believes it.
    `guided`: whether it was found by a closer look at one place, not by the search of the whole picture.
    `turn`: radians by which the picture had to be turned for the face to be upright. `track`: its number in its
    camera, once a tracker has given one. `coasted`: whether the track alone says that it is there.
    """

    box: Box
    score: float
    sure: bool = True
    guided: bool = False
    turn: float = 0.0
    track: int | None = None
    coasted: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """Where a track expects its face in the next frame, and how that was turned when it was last seen."""

    track: int
    box: Box
    turn: float = 0.0


@dataclass(frozen=True, slots=True)
class Detections:
    """What the detector found in one frame, and only in that frame."""

    frame: FrameId
    faces: tuple[Face, ...]


class RegionKind(StrEnum):
    """Why a region is hidden."""

    FACE = "face"
    ZONE = "zone"
    FRAME = "frame"


@dataclass(frozen=True, slots=True)
class Region:
    """What was covered: `box` is the covered rectangle's bounds in pixels of the input, after margin and clipping."""

    box: Box
    kind: RegionKind
    score: float | None = None
    track: int | None = None
