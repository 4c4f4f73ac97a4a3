"""The promise about pixels, for any size, box, method and shape: outside the promised region nothing changes; inside it
nothing but the cells' means shows. What is promised is computed here anew, pixel by pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from faceanond.anonymise.effects import SOLID_LUMA, effect_for
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.anonymise.planes import NEUTRAL
from faceanond.config.model import Anonymise
from faceanond.frames import Box, Face, RawFrame, Verdict
from tests.anonymise.pictures import anonymiser, found, noise, of_planes, plain, planes_of

SMALLEST = 12.0
Corners = tuple[float, float, float, float]


@st.composite
def corners(draw: st.DrawFn) -> Corners:
    """Inside, over the edge, outside, without area, larger than the picture."""
    place = st.floats(-60, 110, allow_nan=False, width=32)
    extent = st.one_of(st.just(0.0), st.floats(0, 40, width=32), st.floats(0, 200, width=32))
    x, y = draw(place), draw(place)
    # 80 is the smallest plausible limit for a picture of 20 pixels.
    return x, y, min(x + draw(extent), 79.0 if x < 79 else x), min(y + draw(extent), 79.0 if y < 79 else y)


pictures = st.tuples(st.integers(28, 71), st.integers(28, 71))
several = st.lists(corners(), min_size=1, max_size=4)
options = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["mosaic", "blur", "solid"]),
        "shape": st.sampled_from(["ellipse", "box"]),
        "margin": st.sampled_from([0.0, 0.1, 0.25, 1.0]),
        "mosaic_level": st.sampled_from([2, 3, 7, 12]),
        "noise": st.sampled_from([0, 0, 8, 32]),
    }
)


def tight(box: Corners) -> Box:
    dx, dy = max(0.0, SMALLEST - (box[2] - box[0])) / 2, max(0.0, SMALLEST - (box[3] - box[1])) / 2
    return Box(box[0] - dx, box[1] - dy, box[2] + dx, box[3] + dy)


def promised(frame: RawFrame, box: Corners, chosen: Anonymise) -> NDArray[np.bool_]:
    """The pixels (even size) whose square meets the face's box or ellipse, grown by the margin."""
    face = tight(box)
    share = 1 + 2 * chosen.margin
    if chosen.shape == "ellipse":
        share = max(share, math.sqrt(2))
    half_x, half_y = face.width * share / 2, face.height * share / 2
    x = np.arange(frame.width + frame.width % 2) - (face.x1 + face.x2) / 2
    y = np.arange(frame.height + frame.height % 2) - (face.y1 + face.y2) / 2
    # The point of the pixel's square that is nearest to the centre, in halves of the shape; a hair less than the
    # edge, so that rounding does not decide.
    near_x, near_y = np.maximum(0, np.maximum(x, -(x + 1))) / half_x, np.maximum(0, np.maximum(y, -(y + 1))) / half_y
    if chosen.shape == "ellipse":
        return near_y[:, None] ** 2 + near_x**2 < 1 - 1e-9
    return (near_y[:, None] < 1 - 1e-9) & (near_x < 1 - 1e-9)


def in_chroma(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask.reshape(mask.shape[0] // 2, 2, mask.shape[1] // 2, 2).any(axis=(1, 3))


def blocks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every pixel of every 2x2 block that the mask touches: what is really drawn."""
    return np.kron(in_chroma(mask), np.ones((2, 2), bool)).astype(bool)


def sides(box: Corners) -> float:
    return max(tight(box).width, tight(box).height)


def picture(size: tuple[int, int], seed: int) -> RawFrame:
    width, height = size
    half = (height + 1) // 2, (width + 1) // 2
    return of_planes(noise(height, width, seed), noise(*half, seed + 1), noise(*half, seed + 2))


def shuffled(
    plane: NDArray[np.uint8],
    masks: Sequence[NDArray[np.bool_]],
    drawn: Sequence[NDArray[np.bool_]],
    pitches: Sequence[int],
    seed: int,
) -> NDArray[np.uint8]:
    """The plane with the pixels inside the masks in another order, each staying within its cell of every grid and
    within the same regions as drawn: neither a cell's mean changes, nor the mean of what another region leaves of it.
    A doubled last column or row stays among itself."""
    height, width = plane.shape
    full = masks[0].shape
    rows, columns = np.indices(plane.shape)
    keys = [(rows == height - 1) & (full[0] > height), (columns == width - 1) & (full[1] > width)]
    for mask, pitch in zip(drawn, pitches, strict=True):
        keys += [mask[:height, :width], rows // pitch, columns // pitch]
    key = np.stack([np.asarray(part).ravel() for part in keys])
    anything = np.logical_or.reduce([mask[:height, :width] for mask in masks]).ravel()
    spots = np.flatnonzero(anything)
    groups = np.unique(key[:, spots], axis=1, return_inverse=True)[1].ravel()
    order = np.lexsort((np.random.default_rng(seed).random(spots.size), groups))
    result = plane.ravel().copy()
    result[spots[np.argsort(groups, kind="stable")]] = plane.ravel()[spots[order]]
    return result.reshape(plane.shape)


def seal(frame: RawFrame, boxes: Sequence[Corners], chosen: Anonymise) -> AnonymisedFrame:
    sealed = anonymiser(**chosen.model_dump()).seal(frame, found(frame, *boxes))
    assert sealed.verdict in (Verdict.MASKED, Verdict.CLEAN), sealed.reason
    return sealed


@given(size=pictures, boxes=several, raw_options=options, seed=st.integers(0, 50))
def test_outside_the_promised_region_nothing_changes(
    size: tuple[int, int], boxes: list[Corners], raw_options: dict[str, object], seed: int
) -> None:
    chosen = Anonymise.model_validate({"legend": (), **raw_options})
    frame = picture(size, seed)

    sealed = seal(frame, boxes, chosen)

    masks = [promised(frame, box, chosen) for box in boxes]
    allowed = np.logical_or.reduce([blocks(mask) for mask in masks])
    # The edge itself, where rounding may fall either way, belongs to a block that the shape touches by a hair.
    allowed |= np.logical_or.reduce([_edge(frame, box, chosen) for box in boxes])
    y, u, v = planes_of(sealed)
    before = plain(frame)
    assert (y == before[: sealed.height])[~allowed].all()
    assert (u == frame.u)[~in_chroma(allowed)].all()
    assert (v == frame.v)[~in_chroma(allowed)].all()
    covered = np.zeros_like(allowed)
    for region in sealed.regions:
        x1, y1, x2, y2 = region.box.rounded_out()
        covered[y1 : y2 + y2 % 2, x1 : x2 + x2 % 2] = True
        assert x1 >= 0
        assert y1 >= 0
        assert x2 <= frame.width
        assert y2 <= frame.height
    assert not (np.logical_or.reduce(masks) & ~covered).any(), "the report tells all that was promised"
    assert (y == before[: sealed.height])[~covered].all(), "the report tells all that was changed"


def _edge(frame: RawFrame, box: Corners, chosen: Anonymise) -> NDArray[np.bool_]:
    """Blocks within a thousandth of a pixel of the shape."""
    face, hair = tight(box), 1e-3
    grown = (face.x1 - hair, face.y1 - hair, face.x2 + hair, face.y2 + hair)
    return blocks(promised(frame, grown, chosen))


@given(size=pictures, boxes=several, raw_options=options, seed=st.integers(0, 50))
def test_inside_the_promised_region_only_the_means_of_cells_show(
    size: tuple[int, int], boxes: list[Corners], raw_options: dict[str, object], seed: int
) -> None:
    chosen = Anonymise.model_validate({"legend": (), **raw_options})
    frame = picture(size, seed)
    masks = [promised(frame, box, chosen) for box in boxes]
    chroma_masks = [in_chroma(mask) for mask in masks]
    level, blur = chosen.mosaic_level, chosen.blur_level
    cells = [effect_for(chosen.method, sides(box), mosaic_level=level, blur_level=blur).cell or 2 for box in boxes]
    if chosen.method == "solid":
        other = picture(size, seed + 1000)
        union, half = np.logical_or.reduce(masks)[: frame.height, : frame.width], np.logical_or.reduce(chroma_masks)
        twin = of_planes(
            np.where(union, other.y, frame.y), np.where(half, other.u, frame.u), np.where(half, other.v, frame.v)
        )
    else:
        halves = [cell // 2 for cell in cells]
        twin = of_planes(
            shuffled(frame.y, masks, [blocks(mask) for mask in masks], cells, seed),
            shuffled(frame.u, chroma_masks, chroma_masks, halves, seed),
            shuffled(frame.v, chroma_masks, chroma_masks, halves, seed),
        )

    assert (seal(frame, boxes, chosen).i420 == seal(twin, boxes, chosen).i420).all()


@given(size=pictures, boxes=several, shape=st.sampled_from(["ellipse", "box"]))
def test_solid_leaves_one_colour(size: tuple[int, int], boxes: list[Corners], shape: str) -> None:
    chosen = Anonymise.model_validate({"legend": (), "method": "solid", "shape": shape})
    frame = picture(size, 3)

    y, u, v = planes_of(seal(frame, boxes, chosen))

    mask = np.logical_or.reduce([promised(frame, box, chosen) for box in boxes])
    assert (y[mask] == SOLID_LUMA).all()
    assert (u[in_chroma(mask)] == NEUTRAL).all()
    assert (v[in_chroma(mask)] == NEUTRAL).all()


@given(
    size=pictures,
    box=corners(),
    level=st.integers(2, 12),
    shape=st.sampled_from(["ellipse", "box"]),
    margin=st.sampled_from([0.0, 0.25]),
)
def test_a_mosaic_is_flat_in_each_cell_and_no_face_meets_more_cells_than_the_level(
    size: tuple[int, int], box: Corners, level: int, shape: str, margin: float
) -> None:
    chosen = Anonymise.model_validate({"legend": (), "mosaic_level": level, "shape": shape, "margin": margin})
    frame = picture(size, 5)
    cell = effect_for("mosaic", sides(box), mosaic_level=level, blur_level=50).cell

    planes = planes_of(seal(frame, [box], chosen))

    mask = promised(frame, box, chosen)
    for plane, covered, pitch in zip(
        planes, (mask, in_chroma(mask), in_chroma(mask)), (cell, cell // 2, cell // 2), strict=True
    ):
        rows, columns = np.nonzero(covered)
        values: dict[tuple[int, int], set[int]] = {}
        for row, column in zip(rows, columns, strict=True):
            values.setdefault((row // pitch, column // pitch), set()).add(int(plane[row, column]))
        assert all(len(seen) == 1 for seen in values.values())
    face = tight(box)
    assert math.floor(face.x2 / cell) - math.floor(face.x1 / cell) < level + (face.x2 % cell == 0)
    assert math.floor(face.y2 / cell) - math.floor(face.y1 / cell) < level + (face.y2 % cell == 0)


@given(boxes=st.lists(corners(), min_size=2, max_size=4), raw_options=options)
@settings(max_examples=50)
def test_the_order_of_faces_does_not_matter(boxes: list[Corners], raw_options: dict[str, object]) -> None:
    chosen = Anonymise.model_validate({"legend": (), **raw_options})
    frame = picture((70, 50), 1)

    assert (seal(frame, boxes, chosen).i420 == seal(frame, boxes[::-1], chosen).i420).all()


@given(box=corners(), shape=st.sampled_from(["ellipse", "box"]), margin=st.sampled_from([0.0, 0.1, 0.25, 2.0]))
def test_the_detected_box_itself_is_always_covered_whole(box: Corners, shape: str, margin: float) -> None:
    chosen = Anonymise.model_validate({"legend": (), "method": "solid", "shape": shape, "margin": margin})
    frame = picture((64, 48), 2)

    y, _, _ = planes_of(seal(frame, [box], chosen))

    x1, y1, x2, y2 = Face(Box(*box), 1.0).box.clipped(64, 48).rounded_out()
    assert (y[y1 : max(y1, y2), x1 : max(x1, x2)] == SOLID_LUMA).all()


def test_the_grid_stays_while_the_face_moves() -> None:
    """Two faces of one size a few pixels apart: where both are hidden, both show the same cells."""
    frame = picture((64, 64), 9)
    chosen = Anonymise.model_validate({"legend": (), "shape": "box"})

    here, _, _ = planes_of(seal(frame, [(16, 16, 46, 46)], chosen))
    there, _, _ = planes_of(seal(frame, [(19, 17, 49, 47)], chosen))

    assert (here[16:46, 19:46] == there[16:46, 19:46]).all()


def test_a_coarse_face_is_not_shown_by_a_fine_one_beside_it() -> None:
    """The small face's cells are measured after the large one is hidden: its detail does not seep into them."""
    chosen = Anonymise.model_validate({"legend": (), "shape": "box", "margin": 0.0})
    large, small = (0.0, 0.0, 48.0, 48.0), (42.0, 10.0, 60.0, 28.0)
    frame = picture((64, 64), 4)
    turned = frame.y.copy()
    turned[8:16, 40:48] = turned[8:16, 40:48][::-1, ::-1]

    one = seal(frame, [large, small], chosen)
    other = seal(of_planes(turned, frame.u, frame.v), [large, small], chosen)

    assert (one.i420 == other.i420).all()
