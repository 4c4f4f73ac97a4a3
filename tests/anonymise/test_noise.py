from __future__ import annotations

import numpy as np
import pytest

from faceanond.anonymise.effects import LADDER, SOLID, STEP, Effect, concealing_effect, effect_for, hide
from faceanond.anonymise.noise import TILE, Noise
from faceanond.anonymise.planes import Planes
from faceanond.anonymise.shapes import box_stencil
from faceanond.frames import Box
from tests.anonymise.pictures import anonymiser, found, of_planes, planes_of, raw

CELL = 16


def noise(levels: int = 8, camera: str = "lobby") -> Noise:
    made = Noise.of_camera(camera, levels)
    assert made is not None
    return made


def test_no_levels_are_no_noise() -> None:
    assert Noise.of_camera("lobby", 0) is None
    assert effect_for("mosaic", 100, mosaic_level=7, blur_level=50).noise is None


@pytest.mark.parametrize("levels", [1, 8, 32])
def test_offsets_stay_within_the_levels_and_use_all_of_them(levels: int) -> None:
    offsets = noise(levels).offsets(0, 0, 60, 60, cell=CELL)
    assert offsets.shape == (60, 60, 3)
    assert set(np.unique(offsets)) == set(range(-levels, levels + 1))
    assert abs(offsets.mean()) < levels / 20 + 0.05


@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 5), (14, 15), (TILE, 2 * TILE), (31, 33)])
def test_a_cell_has_its_offset_wherever_the_region_begins(top: int, left: int) -> None:
    whole = noise().offsets(0, 0, 60, 60, cell=CELL)
    assert (noise().offsets(top, left, 11, 7, cell=CELL) == whole[top : top + 11, left : left + 7]).all()


def test_it_differs_from_track_to_track_place_to_place_grid_to_grid_and_camera_to_camera() -> None:
    def drawn(source: Noise, cell: int = CELL) -> bytes:
        return source.offsets(0, 0, 8, 8, cell=cell).tobytes()

    kinds = [
        drawn(noise()),
        drawn(noise().of_track(1)),
        drawn(noise().of_track(2)),
        drawn(noise().of_track(1), cell=24),
        drawn(noise(camera="yard").of_track(1)),
        noise().offsets(8, 0, 8, 8, cell=CELL).tobytes(),
        noise().offsets(0, 8, 8, 8, cell=CELL).tobytes(),
    ]
    assert len(set(kinds)) == len(kinds)


def test_it_cannot_be_known_from_outside_the_process() -> None:
    one, other = (Noise.of_camera("lobby", 8, secret=bytes([number]) * 32) for number in (1, 2))
    assert one is not None
    assert other is not None
    assert (one.offsets(0, 0, 8, 8, cell=CELL) != other.offsets(0, 0, 8, 8, cell=CELL)).any()
    assert one.key.hex() not in repr(one)
    assert repr(one.key) not in repr(one)


def shown(track: int | None, *, left: float = 40, luma: int = 120) -> np.ndarray:
    """The luma of a grey picture with one face of 90 pixels."""
    planes = Planes.filled(192, 128, luma)
    stencil = box_stencil(Box(left, 20, left + 90, 110), planes.width, planes.height)
    assert stencil is not None
    effect = effect_for("mosaic", 90, mosaic_level=7, blur_level=50, noise=noise(), track=track)
    assert effect.cell == CELL
    hide(planes, [(stencil, effect)])
    return planes.y


def test_a_cell_of_a_track_has_the_same_noise_in_every_frame_though_the_face_moves() -> None:
    here, there = shown(3, left=40), shown(3, left=57)
    assert (here[20:110, 58:130] == there[20:110, 58:130]).all()
    assert len(np.unique(here[20:110, 40:130])) > 1, "there is noise at all"


def test_another_track_has_other_noise_and_none_has_the_cameras() -> None:
    assert (shown(3) != shown(4)).any()
    assert (shown(3) != shown(None)).any()
    assert (shown(None) == shown(None)).all()


def test_values_are_quantised_as_without_noise() -> None:
    frame = raw(192, 128)
    planes = planes_of(anonymiser(noise=8).seal(frame, found(frame, (40, 20, 130, 110))))
    for plane, scale in zip(planes, (1, 2, 2), strict=True):
        values = plane[40 // scale : 90 // scale, 60 // scale : 110 // scale]
        assert ((values % STEP == 0) | (values == 235)).all()


def test_chroma_has_noise_too_and_stays_in_limited_range() -> None:
    for value in (16, 235):
        half = np.full((64, 96), value, np.uint8)
        frame = of_planes(np.full((128, 192), value, np.uint8), half, half.copy())
        y, u, v = planes_of(anonymiser(noise=32).seal(frame, found(frame, (40, 20, 130, 110))))
        for plane in (y, u, v):
            assert plane.min() >= 16
            assert plane.max() <= 235
        assert len(np.unique(u)) > 1
        assert (u != v).any()


def test_frames_of_one_still_face_cannot_be_averaged() -> None:
    frames = [raw(192, 128, index=index) for index in range(3)]
    maker = anonymiser(noise=16)
    pictures = {maker.seal(frame, found(frame, (40, 20, 130, 110))).i420.tobytes() for frame in frames}
    assert len(pictures) == 1


@pytest.mark.parametrize("method", ["mosaic", "blur"])
def test_noise_changes_what_a_mask_shows_and_nothing_beside_it(method: str) -> None:
    frame = raw(192, 128)
    bare = anonymiser(method=method, shape="box", margin=0).seal(frame, found(frame, (40, 20, 130, 110)))
    noisy = anonymiser(method=method, shape="box", margin=0, noise=16).seal(frame, found(frame, (40, 20, 130, 110)))
    different = bare.i420[:128] != noisy.i420[:128]
    assert different[20:110, 40:130].any()
    assert not different[:20].any()
    assert not different[:, :40].any()


def test_solid_has_no_noise_and_a_concealed_picture_has_the_cameras() -> None:
    assert effect_for("solid", 90, mosaic_level=7, blur_level=50, noise=noise(), track=1) == SOLID
    assert concealing_effect("solid", 640, 480, mosaic_level=7, noise=noise()) == SOLID
    assert concealing_effect("mosaic", 640, 480, mosaic_level=7, noise=noise()).noise == noise()
    frame = raw(192, 128)
    assert (anonymiser(noise=16).conceal(frame, "gap").i420 != anonymiser().conceal(frame, "gap").i420).any()


def test_the_order_of_two_tracks_at_one_place_does_not_matter() -> None:
    planes = [Planes.filled(64, 64, 120) for _ in range(2)]
    stencil = box_stencil(Box(0, 0, 64, 64), 64, 64)
    assert stencil is not None
    both = [(stencil, Effect(8, noise=noise().of_track(track))) for track in (1, 2)]
    hide(planes[0], both)
    hide(planes[1], both[::-1])
    assert (planes[0].i420 == planes[1].i420).all()


@pytest.mark.parametrize("cell", LADDER[:6])
def test_a_region_at_the_pictures_far_edge_has_noise_as_well(cell: int) -> None:
    planes = Planes.filled(70, 50, 120)
    stencil = box_stencil(Box(30, 20, 70, 50), 70, 50)
    assert stencil is not None
    hide(planes, [(stencil, Effect(cell, noise=noise(32)))])
    assert (planes.y[20:, 30:] != 120).any()
