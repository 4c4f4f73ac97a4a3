"""Which found face belongs to which track. Greedy, nearest first: with the handful of faces of a camera an optimal
assignment differs only where two faces are equally near, and there it does not matter which is which."""

from __future__ import annotations

import math
from collections.abc import Sequence

from faceanond.frames import Box, Face
from faceanond.track.track import Track

NEAR = 0.7
"""Distance of the centres, in mean sizes of the two, up to which a face may belong to a track that was just seen."""
_NEARER = 1.0
"""The same for every second for which the track was not seen, on top."""
_LIKE = 2.2
"""Ratio of the sizes up to which."""
_SAME = 0.5
"""Intersection over the smaller box from which two boxes are one face."""


def pairs(tracks: Sequence[Track], faces: Sequence[Face]) -> list[tuple[Track, Face]]:
    """Tracks and faces that belong together, each at most once."""
    ranked = sorted(
        (
            (distance, i, j)
            for i, track in enumerate(tracks)
            for j, face in enumerate(faces)
            if (distance := _distance(track, face.box)) is not None
        )
    )
    taken_tracks: set[int] = set()
    taken_faces: set[int] = set()
    found: list[tuple[Track, Face]] = []
    for _, i, j in ranked:
        if i not in taken_tracks and j not in taken_faces:
            taken_tracks.add(i)
            taken_faces.add(j)
            found.append((tracks[i], faces[j]))
    return found


def same(one: Box, other: Box) -> bool:
    """Whether two boxes of one frame are one face as far as anybody can tell."""
    return one.shares(other) > _SAME


def _distance(track: Track, box: Box) -> float | None:
    """In mean sizes; None when they cannot be one face."""
    size = max(box.width, box.height)
    if not 1 / _LIKE <= size / max(track.size, 1e-6) <= _LIKE:
        return None
    x, y = box.centre
    away = math.hypot(x - track.x, y - track.y) / ((size + track.size) / 2)
    limit = min(NEAR + _NEARER * max(0.0, track.now - track.seen), 2 * NEAR)
    return away if away <= limit else None
