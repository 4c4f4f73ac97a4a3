"""The whole picture in the size that a single-shot network wants, straight from the YUV planes.

Rule: a face of `min_size` pixels becomes SMALLEST pixels wide, and nothing is enlarged. These networks also miss faces
that are too large for them, so a large picture is looked at again, in a quarter of the size, until none can be.
"""

from __future__ import annotations

from dataclasses import dataclass

from faceanond.detect.picture import Picture, Pixels
from faceanond.detect.pyramid import Level, is_searched

SMALLEST = 16
"""Pixels: of clear faces just so wide, ear to ear, YuNet finds 95 % and CenterFace 97 %; at 12 pixels 83 and 93 %."""
LARGEST = 240
"""Pixels: of 38 faces both networks find 37 and more up to 300 wide, a half at 600, none at 1000."""
STEP = 4
"""From one look to the next. The second costs a sixteenth of the first."""
GRID = 32
"""Both networks halve their picture five times."""


@dataclass(frozen=True, slots=True)
class Look:
    """One size in which the picture is looked at: width and height in pixels of the network's picture."""

    width: int
    height: int

    @property
    def padded(self) -> tuple[int, int]:
        """(width, height) filled up to whole steps of the network's grid."""
        return -(-self.width // GRID) * GRID, -(-self.height // GRID) * GRID


def looks(width: int, height: int, min_size: int) -> list[Look]:
    """The looks at a picture of that size, largest first; none at one that is too small for a face."""
    if not is_searched((width, height), min_size):
        return []
    scale = min(1.0, SMALLEST / min_size)
    found = [_look(width, height, scale)]
    while max(found[-1].width, found[-1].height) > LARGEST:
        scale /= STEP
        found.append(_look(width, height, scale))
    return found


def _look(width: int, height: int, scale: float) -> Look:
    return Look(max(1, round(width * scale)), max(1, round(height * scale)))


def rgb_picture(picture: Picture, look: Look) -> Pixels:
    """The whole frame as RGB, (height, width, 3)."""
    # The picture is drawn with even sides; what that adds is left out.
    return picture.level(Level(1.0, look.width, look.height))[: look.height, : look.width, :3]
