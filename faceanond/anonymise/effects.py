"""How a region is hidden, on the planes of our own copy.

Mosaic and blur know of a region only the mean of each cell of a grid that is fixed to the picture, and that mean
rounded to one of 29 values. The grid does not move with the face, so a face that moves does not sweep its
detail past the cells' edges more than it must; the sizes come from a short ladder, so that a detection which trembles
by a pixel keeps its grid. Solid knows nothing.

Noise, where there is some, is added to a mean before it is rounded, so that what is shown has the same 29 values.

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

from faceanond.anonymise.noise import Noise
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
    pixels, laid over the cells (0: none). A `cell` of 0 fills with one colour. `noise` offsets the cells."""

    cell: int
    sigma: float = 0.0
    noise: Noise | None = None


SOLID = Effect(0)


def effect_for(
    method: Method,
    side: float,
    *,
    mosaic_level: int,
    blur_level: float,
    noise: Noise | None = None,
    track: int | None = None,
) -> Effect:
    """The effect for a face whose longer side is `side` pixels. `noise` is the camera's, `track` the face's.

    At most `mosaic_level` cells touch a side of the face wherever it stands: a length of (level - 1) cells cannot
    touch more. A blur is laid over the same cells.
    """
    if method == "solid":
        return SOLID
    wanted = side / (mosaic_level - 1)
    cell = next((size for size in LADDER if size >= wanted), LADDER[-1])
    sigma = max(blur_level, BLUR_SHARE * side) if method == "blur" else 0.0
    return Effect(cell, sigma, None if noise is None else noise.of_track(track))


def concealing_effect(
    method: Method, width: int, height: int, *, mosaic_level: int, noise: Noise | None = None
) -> Effect:
    """The effect for a whole picture: at most 16 cells across, and at most `mosaic_level` along its shorter side, so
    that a face which fills the picture is hidden as well as any. Never more than `method` would show of a face."""
    if method == "solid":
        return SOLID
    wanted = max(max(width, height) / ACROSS, min(width, height) / (mosaic_level - 1))
    return Effect(math.ceil(wanted / BLOCK) * BLOCK, noise=noise)


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


_SAMPLES = np.array([BLOCK * BLOCK, 1, 1])
"""Samples of Y, U and V in a block."""
_GREY = _Patches(
    np.full((1, 1, 1), SOLID_LUMA * 0x0101, np.uint16),
    np.full((1, 1), NEUTRAL, np.uint8),
    np.full((1, 1), NEUTRAL, np.uint8),
)


def _coarsest_first(region: tuple[Stencil, Effect]) -> tuple[object, ...]:
    """Solid, then falling cell size. The rest makes the order one and the same, whatever order the regions came in:
    what a region shows depends on its bounds, its cells, its blur and its noise alone."""
    stencil, effect = region
    noise = b"" if effect.noise is None else effect.noise.key
    bounds = stencil.top, stencil.left, stencil.bottom, stencil.right
    return effect.cell > 0, -effect.cell, -effect.sigma, *bounds, noise


def _patches(planes: Planes, stencil: Stencil, effect: Effect) -> _Patches:
    """Looks at every cell that the stencil's bounds touch, each as a whole.

    All that comes out is made of the rounded means (and the noise) alone.
    """
    if effect.cell == 0:
        return _GREY
    pitch = effect.cell // BLOCK
    rows = _edges(stencil.top, stencil.bottom, pitch, planes.height // BLOCK)
    columns = _edges(stencil.left, stencil.right, pitch, planes.width // BLOCK)
    offsets: NDArray[np.int64] | int = 0
    if effect.noise is not None:
        place = int(rows[0]) // pitch, int(columns[0]) // pitch
        offsets = effect.noise.offsets(*place, len(rows) - 1, len(columns) - 1, cell=effect.cell)
    means = _rounded_means(planes, rows, columns, offsets)
    if effect.sigma > 0:
        # Over the cells, not over the pixels: as smooth, a hundred times faster, and nothing finer can come through.
        soft = cv2.GaussianBlur(means, (0, 0), effect.sigma / effect.cell, borderType=cv2.BORDER_REPLICATE)
        softened = np.asarray(soft, np.uint8)
        luma, u, v = (_smooth(softened[..., plane], size) for plane, size in enumerate((effect.cell, pitch, pitch)))
    else:
        heights, widths = np.diff(rows), np.diff(columns)
        luma = _flat(means[..., 0], heights * BLOCK, widths * BLOCK)
        u, v = (_flat(means[..., plane], heights, widths) for plane in (1, 2))
    down = slice(stencil.top - int(rows[0]), stencil.bottom - int(rows[0]))
    across = slice(stencil.left - int(columns[0]), stencil.right - int(columns[0]))
    return _Patches(_as_blocks(luma)[down, :, across], u[down, across], v[down, across])


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


def _edges(start: int, end: int, pitch: int, limit: int) -> NDArray[np.intp]:
    """Where the cells that [start, end) touches begin, and where the last one ends; all in blocks. Cells are counted
    from the picture's corner; the one at the far edge may be cut."""
    edges = np.arange(start // pitch, -(-end // pitch) + 1) * pitch
    edges[-1] = min(int(edges[-1]), limit)
    return edges


def _rounded_means(
    planes: Planes, rows: NDArray[np.intp], columns: NDArray[np.intp], offsets: NDArray[np.int64] | int
) -> NDArray[np.uint8]:
    """(cell rows, cell columns, 3): the mean of Y, U and V in each cell between the edges (in blocks), plus its offset,
    rounded to a multiple of the step, so that grey stays grey where there is no noise.

    From integral images (Crow 1984): exact for cells of any size, in one pass. A sum that overflows wraps, and the
    differences are right again.
    """
    inner = slice(int(rows[0]), int(rows[-1])), slice(int(columns[0]), int(columns[-1]))
    outer = tuple(slice(part.start * BLOCK, part.stop * BLOCK) for part in inner)
    down, across = (rows - rows[0])[:, None], columns - columns[0]
    corners = (
        cv2.integral(planes.y[outer])[down * BLOCK, across * BLOCK],
        cv2.integral(planes.u[inner])[down, across],
        cv2.integral(planes.v[inner])[down, across],
    )
    grid = np.stack(corners, axis=-1)
    across_sums = grid[:, 1:] - grid[:, :-1]
    sums = (across_sums[1:] - across_sums[:-1]).astype(np.int64)
    samples = (np.diff(rows)[:, None] * np.diff(columns))[..., None] * _SAMPLES
    steps = samples * STEP
    rounded = (2 * (sums + offsets * samples) + steps) // (2 * steps) * STEP
    return np.asarray(np.minimum(np.maximum(rounded, 16), 235), np.uint8)


def _flat(means: Plane, heights: NDArray[np.intp], widths: NDArray[np.intp]) -> Plane:
    """Cells with hard edges. Columns first, on the few rows of cells: then whole rows are copied."""
    return means.repeat(widths, axis=1).repeat(heights, axis=0)


def _smooth(means: Plane, pitch: int) -> Plane:
    """Cells that pass over into each other; the last row and column as large as all others."""
    size = means.shape[1] * pitch, means.shape[0] * pitch
    return np.asarray(cv2.resize(means, size, interpolation=cv2.INTER_LINEAR), np.uint8)
