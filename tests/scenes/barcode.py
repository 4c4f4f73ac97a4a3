"""The number of a picture, written into the picture: what survives the encoder says which frame is on the screen.

A band along the lower edge of black and white blocks: 12 bits of number, then 8 of checksum. The blocks are large and
their contrast is full, so that H.264 keeps them at any bit rate; a mosaic, a blur or a slate has no such band.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BAND = 32
"""Rows along the lower edge. No face may come near: a mask over the band would make the picture nameless."""
NUMBER_BITS, CHECK_BITS = 12, 8
BITS = NUMBER_BITS + CHECK_BITS
BLACK, WHITE = 30, 220
SURE = 40
"""Levels by which a block may miss black or white; one in between is neither, and the picture has no number."""


def write(luma: NDArray[np.uint8], number: int) -> None:
    """Draws the number into the last rows of a luma plane."""
    height, width = luma.shape
    for place, bit in enumerate(_bits(number)):
        luma[height - BAND :, place * width // BITS : (place + 1) * width // BITS] = WHITE if bit else BLACK


def read(luma: NDArray[np.uint8]) -> int | None:
    """The number in a decoded luma plane; None when there is none that can be believed."""
    height, width = luma.shape
    if height < 2 * BAND or width < 4 * BITS:
        return None
    # The blocks' borders suffer from the encoder, so only their cores count.
    sums = np.cumsum(luma[height - BAND * 3 // 4 : height - BAND // 4].mean(axis=0))
    edges = np.arange(BITS + 1) * width // BITS
    left, right = edges[:-1] + 3, edges[1:] - 3
    levels = (sums[right - 1] - sums[left - 1]) / (right - left)
    if np.minimum(np.abs(levels - BLACK), np.abs(levels - WHITE)).max() > SURE:
        return None
    bits = (levels > (BLACK + WHITE) / 2).tolist()
    number = sum(bit << place for place, bit in enumerate(bits[:NUMBER_BITS]))
    return number if bits == _bits(number) else None


def _bits(number: int) -> list[bool]:
    if not 0 <= number < 1 << NUMBER_BITS:
        raise ValueError(f"{number} does not fit into {NUMBER_BITS} bits")
    whole = number | _check(number) << NUMBER_BITS
    return [bool(whole >> place & 1) for place in range(BITS)]


def _check(number: int) -> int:
    """CRC-8 (polynomial 0x07). Never all zeros for number 0, so that a flat black band is no number."""
    crc = 0xA5
    for byte in number.to_bytes(2, "big"):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc
