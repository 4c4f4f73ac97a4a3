"""Every scene through the real stages, MTCNN to H.264 and back: no picture that leaves shows a face."""

from __future__ import annotations

from pathlib import Path

import pytest

from faceanond.config.model import Camera
from faceanond.detect.protocol import Detector
from faceanond.frames import Verdict
from tests.conftest import FakeClock
from tests.scenes.detectors import Knowing
from tests.scenes.oracle import LeakedError, assert_nothing_leaks
from tests.scenes.scene import Scene
from tests.scenes.scenes import ALL, NEEDS_TRACKS
from tests.scenes.stage import camera, convert, serving, shoot
from tests.scenes.viewer import Seen, watch, watch_file

SCENES = [
    pytest.param(
        scene,
        id=scene.name,
        marks=[pytest.mark.xfail(strict=True, raises=LeakedError, reason="needs tracks")]
        if scene.name in NEEDS_TRACKS
        else [],
    )
    for scene in ALL
]

METHODS = [
    {"method": "solid", "shape": "box"},
    {"method": "blur", "shape": "ellipse"},
    {"method": "mosaic", "mosaic_level": 4},
    {"method": "mosaic", "margin": 0.0},
]


async def live(scene: Scene, detector: Detector, clock: FakeClock, settings: Camera) -> list[Seen]:
    async with serving(detector, clock) as batcher:
        footage = await shoot(scene.frames(), batcher, clock, settings)
    assert footage.failure is None
    return watch(footage.packets)


async def file(scene: Scene, detector: Detector, clock: FakeClock, settings: Camera, target: Path) -> list[Seen]:
    async with serving(detector, clock) as batcher:
        tally = await convert(scene.frames(), batcher, clock, settings, target)
    assert tally.frames == scene.length
    return watch_file(target)


def assert_nearly_everything_is_shown(scene: Scene, seen: list[Seen]) -> None:
    """Whoever conceals every picture leaks nothing, and proves nothing."""
    numbers = {picture.number for picture in seen if picture.verdict not in (Verdict.FULL, Verdict.HELD)}
    assert len(numbers) >= 0.9 * scene.length


@pytest.mark.parametrize("scene", SCENES)
async def test_no_live_picture_shows_a_face(scene: Scene, mtcnn: Detector, clock: FakeClock) -> None:
    seen = await live(scene, mtcnn, clock, camera())
    assert_nearly_everything_is_shown(scene, seen)
    assert_nothing_leaks(scene, seen)


@pytest.mark.may_block  # a file's job has the loop to itself
@pytest.mark.parametrize("scene", SCENES)
async def test_no_picture_of_a_file_shows_a_face(
    scene: Scene, mtcnn: Detector, clock: FakeClock, tmp_path: Path
) -> None:
    seen = await file(scene, mtcnn, clock, camera(), tmp_path / "out.mp4")
    assert [picture.number for picture in seen] == list(range(scene.length)), "every frame, in order"
    assert_nothing_leaks(scene, seen)


@pytest.mark.parametrize("settings", METHODS, ids=lambda settings: "-".join(map(str, settings.values())))
async def test_no_way_of_hiding_shows_a_face(settings: dict[str, object], mtcnn: Detector, clock: FakeClock) -> None:
    scene = next(scene for scene in ALL if scene.name == "walks")
    seen = await live(scene, mtcnn, clock, camera(anonymise=settings))
    assert_nearly_everything_is_shown(scene, seen)
    assert_nothing_leaks(scene, seen)


@pytest.mark.parametrize("scene", ALL, ids=lambda scene: scene.name)
async def test_no_scene_asks_for_more_than_knowing_where_the_faces_are(scene: Scene, clock: FakeClock) -> None:
    """So whatever leaks otherwise, a better guess of the boxes would have hidden it."""
    seen = await live(scene, Knowing(scene), clock, camera())
    assert_nearly_everything_is_shown(scene, seen)
    assert_nothing_leaks(scene, seen)


def test_the_list_of_hopeless_scenes_names_scenes() -> None:
    assert {scene.name for scene in ALL} >= NEEDS_TRACKS
