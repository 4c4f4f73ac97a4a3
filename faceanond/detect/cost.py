"""What a frame costs the detector, as an estimate that is known beforehand: pixels of its pyramid.

Time follows the pixels that P-Net slides over; R- and O-Net look at crops of a fixed size, whatever the frame's. Only
shares matter, so the unit is the pyramid's pixel.
"""

from __future__ import annotations

from faceanond.config.model import DetectOptions
from faceanond.detect.boxes import CELL

CROPS = 100_000
"""Added to each frame, in pixels' worth: calls, crops and the two smaller networks for a face or two. Measured on three
clips in five sizes: 80,000 with the float networks (5.4 ms and 0.07 ms a thousand pixels on one core of an EPYC),
190,000 with the 8-bit ones (3.6 and 0.02 ms). Where it is wrong, shares are unequal by that much."""


def cost(size: tuple[int, int], options: DetectOptions) -> int:
    """The estimate for a picture of (width, height), in pixels. At least CROPS; grows with the picture's area, and
    with the inverse square of the smallest face."""
    width, height = size
    scale = CELL / options.min_size
    # Each level has `scale_factor` squared of the pixels of the one before: a geometric series.
    levels = 1 / (1 - options.scale_factor**2)
    return CROPS + int(width * height * scale * scale * levels)
