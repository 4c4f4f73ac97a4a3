"""Offsets for the cells of a mosaic, which stay as they are for as long as a face is followed.

Noise that is drawn anew for every frame averages out over a second of video. So a cell's offset depends on nothing
that changes from frame to frame: on a secret of this process, on the camera, on the face's track, and on the cell's
place in the grid, which is fixed to the picture. Without the secret it cannot be computed and taken away again.

The offsets of one tile of cells come from one call of SHAKE-128 (FIPS 202): as good as a hash of each cell, and a
hundred times faster.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_SECRET = os.urandom(32)
"""Of this process; never written down."""
TILE = 16
"""Cells along a tile's side: most faces touch one to four tiles."""
_PLANES = 3


@dataclass(frozen=True, slots=True)
class Noise:
    """Offsets of up to `levels` either way. The key is one camera's, or one track's of a camera."""

    levels: int
    key: bytes = field(repr=False)

    @classmethod
    def of_camera(cls, camera: str, levels: int, *, secret: bytes = _SECRET) -> Noise | None:
        """What regions without a track get: it depends on the place alone. None for no levels: no noise."""
        return cls(levels, hashlib.blake2b(camera.encode(), key=secret, digest_size=16).digest()) if levels else None

    def of_track(self, track: int | None) -> Noise:
        """What one track of this camera gets."""
        if track is None:
            return self
        return Noise(self.levels, hashlib.blake2b(str(track).encode(), key=self.key, digest_size=16).digest())

    def offsets(self, top: int, left: int, rows: int, columns: int, *, cell: int) -> NDArray[np.int64]:
        """(rows, columns, 3) for Y, U and V: the offsets of the cells from that one on. Cells are `cell` pixels wide
        and counted from the picture's corner."""
        tops = range(top // TILE, (top + rows - 1) // TILE + 1)
        lefts = range(left // TILE, (left + columns - 1) // TILE + 1)
        tiles = np.concatenate(
            [np.concatenate([self._tile(row, column, cell) for column in lefts], axis=1) for row in tops]
        )
        down, across = top - tops.start * TILE, left - lefts.start * TILE
        drawn = tiles[down : down + rows, across : across + columns].astype(np.int64)
        # Each byte falls into one of so many equal steps; that some have one value more does not matter here.
        return (drawn * (2 * self.levels + 1) >> 8) - self.levels

    def _tile(self, row: int, column: int, cell: int) -> NDArray[np.uint8]:
        place = b"%b %d %d %d" % (self.key, cell, row, column)
        drawn = hashlib.shake_128(place).digest(TILE * TILE * _PLANES)
        return np.frombuffer(drawn, np.uint8).reshape(TILE, TILE, _PLANES)
