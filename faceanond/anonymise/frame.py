"""The seal: an `AnonymisedFrame` can be made only inside this package, and nothing else can be published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from faceanond.frames import ColourMatrix, FrameId, Region, Verdict

_SEAL = object()
"""Known to this package alone; a test walks the imports and fails when another package reaches for it."""


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AnonymisedFrame:
    """A picture that may leave the process, with the verdict that lets it.

    `i420`: (height * 3 // 2, width) uint8, contiguous, read-only: Y, then U, then V. width and height are even
    (an odd input is padded by repeating its last column or row), the range is always limited (16..235).
    `source` names the picture that it shows, or that it was held from; None for a slate. `captured` is in monotonic
    seconds, `pts` in seconds since the source's start. `reason` says why a frame is full or held. `regions` is what
    was really covered, in pixels of the input.
    """

    camera: str
    source: FrameId | None
    i420: NDArray[np.uint8] = field(repr=False)
    width: int
    height: int
    matrix: ColourMatrix
    captured: float
    pts: float
    verdict: Verdict
    reason: str | None
    regions: tuple[Region, ...]
    seal: object = field(repr=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("an AnonymisedFrame can be made only inside faceanond.anonymise")
        if self.width % 2 or self.height % 2 or self.i420.shape != (self.height * 3 // 2, self.width):
            raise ValueError(f"{self.i420.shape} is not an I420 picture of {self.width}x{self.height}")
        self.i420.flags.writeable = False


def require_sealed(frame: object) -> AnonymisedFrame:
    """The one gate in front of every way out: raises TypeError for anything but an anonymised frame.

    `type(...) is` and the seal, not isinstance: no subclass and no look-alike passes.
    """
    if type(frame) is not AnonymisedFrame or frame.seal is not _SEAL:
        raise TypeError(f"only an AnonymisedFrame may be published, not {type(frame).__name__}")
    return frame
