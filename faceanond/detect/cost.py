"""What a frame costs the detector, as an estimate that is known beforehand: pixels of its pyramid.

Time follows the pixels that P-Net slides over; R- and O-Net look at crops of a fixed size, whatever the frame's. Only
shares matter, so the unit is the pyramid's pixel; one core of an EPYC does about 10,000 of them in a millisecond.
"""

from __future__ import annotations

from faceanond.config.model import DetectOptions
from faceanond.detect.boxes import CELL

CROPS = 20_000
"""Added to each frame, in pixels' worth: calls, crops and the two smaller networks for a face or two (2 ms)."""


def cost(size: tuple[int, int], options: DetectOptions) -> int:
    """The estimate for a picture of (width, height), in pixels. At least CROPS; grows with the picture's area, and
    with the inverse square of the smallest face."""
    width, height = size
    scale = CELL / options.min_size
    # Each level has `scale_factor` squared of the pixels of the one before: a geometric series.
    levels = 1 / (1 - options.scale_factor**2)
    return CROPS + int(width * height * scale * scale * levels)
