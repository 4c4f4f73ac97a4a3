"""Which of the faces found in a published picture are not covered by a mask. Pure.

A detector sees a face in many a mosaic, and its box is seldom the mask's. So a face counts as covered when most of it
lies under masks, or when its centre does and a fair part of the rest: a small mask in the middle of a large face, put
there by mistake, covers nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from faceanond.frames import Box, Face, Region, RegionKind

GROWN = 0.1
"""Of a mask's size, on each side: coding smears a mask's edge, and a box trembles."""
MOST = 0.5
"""Share of a face under masks from which on it is covered, wherever its centre is."""
FAIR = 0.25
"""The same with the centre under a mask: the face's box may have twice the mask's sides, not more."""
_POINTS = 33
"""A side of the grid on which a face's share is measured; odd, so that the centre is one of its points."""


def residual(faces: Iterable[Face], regions: Sequence[Region]) -> list[Face]:
    """The faces that are visible although these regions are hidden, in the same pixels.

    Zones do not count: they are one colour, so whatever is found was found beside them. Their bounds hold all zones
    at once, and with them most of the picture.
    """
    masks = [region.box.grown(GROWN) for region in regions if region.kind is not RegionKind.ZONE]
    return [face for face in faces if not _covered(face.box, masks)]


def _covered(box: Box, masks: Sequence[Box]) -> bool:
    steps = (np.arange(_POINTS) + 0.5) / _POINTS
    x, y = box.x1 + steps * box.width, box.y1 + steps * box.height
    under: NDArray[np.bool_] = np.zeros((_POINTS, _POINTS), np.bool_)
    for mask in masks:
        under |= ((y >= mask.y1) & (y <= mask.y2))[:, None] & ((x >= mask.x1) & (x <= mask.x2))
    share = float(under.mean())
    return share > MOST or (bool(under[_POINTS // 2, _POINTS // 2]) and share >= FAIR)
