"""The image pyramid: the sizes in which P-Net looks at a picture. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from faceanond.detect.boxes import CELL


@dataclass(frozen=True, slots=True)
class Level:
    """One size of the pyramid: `scale` is exact, width and height are rounded to whole pixels."""

    scale: float
    width: int
    height: int


def levels(width: int, height: int, min_size: int, factor: float) -> list[Level]:
    """The pyramid's levels, largest first: down to where the smaller side would not exceed P-Net's 12 pixels."""
    scale = CELL / min_size
    found: list[Level] = []
    if not is_searched((width, height), min_size):
        return found
    while min(width, height) * scale > CELL:
        found.append(Level(scale, int(width * scale + 1), int(height * scale + 1)))
        scale *= factor
    return found


def is_searched(size: tuple[int, int], min_size: int) -> bool:
    """Whether the pyramid of a picture of that (width, height) has a level at all; else no network looks at it."""
    return min(size) > min_size
