"""The number of a picture, written into the picture: what survives the encoder says which frame is on the screen.

A band along the lower edge of blue and yellow blocks: 12 bits of number, then 8 of checksum. The blocks are large and
their contrast is full, so that H.264 keeps them at any bit rate; a mosaic, a blur or a slate has no such band.

It is colour alone, in the plane U: the tracker looks at the brightness of whole pictures, and blocks that flash in it
would be a cut to another scene in every second frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BAND = 32
"""Rows along the lower edge. No face may come near: a mask over the band would make the picture nameless."""
ROWS = BAND // 2
"""The same in the plane."""
NUMBER_BITS, CHECK_BITS = 12, 8
BITS = NUMBER_BITS + CHECK_BITS
YELLOW, BLUE = 30, 220
SURE = 40
"""Levels by which a block may miss yellow or blue; one in between is neither, and the picture has no number."""


def write(plane: NDArray[np.uint8], number: int) -> None:
    """Draws the number into the last rows of a plane U."""
    height, width = plane.shape
    for place, bit in enumerate(_bits(number)):
        plane[height - ROWS :, place * width // BITS : (place + 1) * width // BITS] = BLUE if bit else YELLOW


def read(plane: NDArray[np.uint8]) -> int | None:
    """The number in a decoded plane U; None when there is none that can be believed."""
    height, width = plane.shape
    if height < 2 * ROWS or width < 6 * BITS:
        return None
    # The blocks' borders suffer from the encoder, so only their cores count.
    sums = np.cumsum(plane[height - ROWS * 3 // 4 : height - ROWS // 4].mean(axis=0))
    edges = np.arange(BITS + 1) * width // BITS
    left, right = edges[:-1] + 2, edges[1:] - 2
    levels = (sums[right - 1] - sums[left - 1]) / (right - left)
    if np.minimum(np.abs(levels - YELLOW), np.abs(levels - BLUE)).max() > SURE:
        return None
    bits = (levels > (YELLOW + BLUE) / 2).tolist()
    number = sum(bit << place for place, bit in enumerate(bits[:NUMBER_BITS]))
    return number if bits == _bits(number) else None


def _bits(number: int) -> list[bool]:
    if not 0 <= number < 1 << NUMBER_BITS:
        raise ValueError(f"{number} does not fit into {NUMBER_BITS} bits")
    whole = number | _check(number) << NUMBER_BITS
    return [bool(whole >> place & 1) for place in range(BITS)]


def _check(number: int) -> int:
    """CRC-8 (polynomial 0x07). Never all zeros for number 0, so that a flat yellow band is no number."""
    crc = 0xA5
    for byte in number.to_bytes(2, "big"):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc
