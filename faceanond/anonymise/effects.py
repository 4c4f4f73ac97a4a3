"""How a region is hidden, on the planes of our own copy.

Mosaic and blur know of a region only the mean of each cell of a grid that is fixed to the picture, and that mean
rounded to one of about 28 steps. The grid does not move with the face, so a face that moves does not sweep its
detail past the cells' edges more than it must; the sizes come from a short ladder, so that a detection which trembles
by a pixel keeps its grid. Solid knows nothing.

Where regions overlap, the coarser one wins. A finer one next to it averages over what the coarser one has left, never
over the face below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.anonymise.planes import NEUTRAL, Planes
from faceanond.anonymise.shapes import BLOCK, Mask, Stencil
from faceanond.frames import Plane

Method = Literal["mosaic", "blur", "solid"]

STEP = 8
"""Distance between the values that a cell may have: fine enough to look at, too coarse to undo the averaging of many
frames of a moving face."""
LADDER = tuple(sorted({4 << power for power in range(12)} | {6 << power for power in range(12)}))
"""Cell sizes in pixels. Even, so that a cell covers whole chroma samples; a third to a half apart."""
BLUR_SHARE = 0.25
"""Standard deviation of the blur in sides of the face, at least: four standard deviations span the face."""
ACROSS = 16
"""Cells along the longer side of a picture that is concealed as a whole, at most."""
SOLID_LUMA = 60
"""A dark grey that is told from black borders."""


@dataclass(frozen=True, slots=True)
class Effect:
    """How one region is hidden: `cell` is the grid's pitch in pixels (even), `sigma` the blur's standard deviation in
    pixels, laid over the cells (0: none). A `cell` of 0 fills with one colour."""

    cell: int
    sigma: float = 0.0


SOLID = Effect(0)


def effect_for(method: Method, side: float, *, mosaic_level: int, blur_level: float) -> Effect:
    """The effect for a face whose longer side is `side` pixels.

    At most `mosaic_level` cells touch a side of the face wherever it stands: a length of (level - 1) cells cannot
    touch more. A blur is laid over the same cells.
    """
    if method == "solid":
        return SOLID
    wanted = side / (mosaic_level - 1)
    cell = next((size for size in LADDER if size >= wanted), LADDER[-1])
    return Effect(cell, max(blur_level, BLUR_SHARE * side) if method == "blur" else 0.0)


def concealing_effect(method: Method, width: int, height: int, *, mosaic_level: int) -> Effect:
    """The effect for a whole picture: at most 16 cells across, and at most `mosaic_level` along its shorter side, so
    that a face which fills the picture is hidden as well as any. Never more than `method` would show of a face."""
    if method == "solid":
        return SOLID
    wanted = max(max(width, height) / ACROSS, min(width, height) / (mosaic_level - 1))
    return Effect(math.ceil(wanted / BLOCK) * BLOCK)


def hide(planes: Planes, regions: Sequence[tuple[Stencil, Effect]]) -> None:
    """Hides the regions in place. Their order does not matter."""
    if not regions:
        return
    covered: Mask = np.zeros((planes.height // BLOCK, planes.width // BLOCK), np.bool_)
    for _, alike in groupby(sorted(regions, key=_coarsest_first), key=lambda region: region[1].cell):
        # All of one grid are measured before any of them is drawn: where they meet, their cells are the same cells.
        for stencil, patches in [(stencil, _patches(planes, stencil, effect)) for stencil, effect in alike]:
            before = covered[stencil.within]
            mask = stencil.mask & ~before
            before |= stencil.mask
            _draw(planes, stencil, mask, patches)


def hide_all(planes: Planes, effect: Effect) -> None:
    """Hides the whole picture in place."""
    everything = np.ones((planes.height // BLOCK, planes.width // BLOCK), np.bool_)
    hide(planes, [(Stencil(0, 0, everything), effect)])


@dataclass(frozen=True, slots=True, eq=False)
class _Patches:
    """What a stencil's bounds will show. `luma` is (rows, 2, columns) pairs of pixels, u and v are (rows, columns);
    a single value stands for all."""

    luma: NDArray[np.uint16]
    u: Plane
    v: Plane


_GREY = _Patches(
    np.full((1, 1, 1), SOLID_LUMA * 0x0101, np.uint16),
    np.full((1, 1), NEUTRAL, np.uint8),
    np.full((1, 1), NEUTRAL, np.uint8),
)


def _coarsest_first(region: tuple[Stencil, Effect]) -> tuple[object, ...]:
    """Solid, then falling cell size. The rest makes the order one and the same, whatever order the regions came in:
    what a region shows depends on its bounds, its cells and its blur alone."""
    stencil, effect = region
    return effect.cell > 0, -effect.cell, -effect.sigma, stencil.top, stencil.left, stencil.bottom, stencil.right


def _patches(planes: Planes, stencil: Stencil, effect: Effect) -> _Patches:
    """Looks at every cell that the stencil's bounds touch, each as a whole."""
    if effect.cell == 0:
        return _GREY
    pitch = effect.cell // BLOCK
    left, top = stencil.left // pitch * pitch, stencil.top // pitch * pitch
    right = min(-(-stencil.right // pitch) * pitch, planes.width // BLOCK)
    bottom = min(-(-stencil.bottom // pitch) * pitch, planes.height // BLOCK)
    rows = slice(stencil.top - top, stencil.bottom - top)
    columns = slice(stencil.left - left, stencil.right - left)
    sigma = effect.sigma / effect.cell
    luma = _coarse(planes.y[top * BLOCK : bottom * BLOCK, left * BLOCK : right * BLOCK], effect.cell, sigma)
    u, v = (_coarse(plane[top:bottom, left:right], pitch, sigma) for plane in (planes.u, planes.v))
    return _Patches(_as_blocks(luma)[rows, :, columns], u[rows, columns], v[rows, columns])


def _draw(planes: Planes, stencil: Stencil, mask: Mask, patches: _Patches) -> None:
    rows, columns = stencil.within
    np.copyto(_as_blocks(planes.y)[rows, :, columns], patches.luma, where=mask[:, None, :])
    np.copyto(planes.u[rows, columns], patches.u, where=mask)
    np.copyto(planes.v[rows, columns], patches.v, where=mask)


def _as_blocks(luma: Plane) -> NDArray[np.uint16]:
    """Luma as (block rows, 2, block columns) of pixel pairs, so that one mask of blocks serves luma and chroma.

    A view: writing into it writes into the plane.
    """
    height, width = luma.shape
    return luma.view(np.uint16).reshape(height // BLOCK, BLOCK, width // BLOCK)


def _coarse(plane: Plane, pitch: int, sigma: float) -> Plane:
    """The plane as cells of `pitch` samples, blurred over `sigma` cells (0: hard edges). Same shape, new memory.

    Everything that this returns is made of the rounded means alone.
    """
    height, width = plane.shape
    rows, columns = np.append(np.arange(0, height, pitch), height), np.append(np.arange(0, width, pitch), width)
    means = _rounded_means(plane, rows, columns)
    if sigma <= 0:
        # Columns first, on the few rows of cells: then whole rows are copied.
        return means.repeat(np.diff(columns), axis=1).repeat(np.diff(rows), axis=0)
    soft = cv2.GaussianBlur(means, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    size = means.shape[1] * pitch, means.shape[0] * pitch
    whole = np.asarray(cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return whole[:height, :width]


def _rounded_means(plane: Plane, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Plane:
    """The mean of each cell between the given rows and columns, rounded to a multiple of the step (so grey stays grey).

    From an integral image (Crow 1984): exact for cells of any size, in one pass. A sum that overflows wraps, and the
    differences are right again.
    """
    corners = cv2.integral(plane)[rows[:, None], columns]
    sums = np.diff(np.diff(corners, axis=0), axis=1).astype(np.int64)
    areas = np.diff(rows)[:, None] * np.diff(columns)
    rounded: Plane = np.clip((2 * sums + areas * STEP) // (2 * areas * STEP) * STEP, 16, 235).astype(np.uint8)
    return rounded
