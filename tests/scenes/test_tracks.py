"""What tracks are for: a face that the detector loses stays covered, and no longer than it must."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from faceanond.config.model import Track as TrackOptions
from faceanond.detect import native
from faceanond.detect.protocol import Detector
from faceanond.frames import Box, Verdict
from faceanond.track.tracker import HINTS_LAST
from tests.conftest import FakeClock
from tests.scenes.detectors import Blinded
from tests.scenes.drawing import Pose
from tests.scenes.oracle import LeakedError, assert_nothing_leaks
from tests.scenes.scene import FPS, Scene
from tests.scenes.scene import Path as ScenePath
from tests.scenes.scenes import ALL, LEVEL, stand, walk
from tests.scenes.stage import camera, convert, serving, shoot
from tests.scenes.viewer import Seen, fresh, watch, watch_file

Blind = Callable[[int], bool]
AGAIN = 2.0
"""Seconds after a face has gone in which its cover must be gone, unless the detector sees something like it there."""


def during(seconds: float, start: int = 15) -> Blind:
    """Nothing is found from frame `start` on for so long."""
    return range(start, start + round(seconds * FPS)).__contains__


LOST: list[tuple[Scene, Blind]] = [
    (Scene("flickers", (walk(90, 4),)), lambda number: number % 3 != 0),
    (Scene("flickers and runs", (walk(70, 12, shutter=0.5),), length=24), lambda number: number % 3 != 0),
    (Scene("is lost for 0.8 s while it stands", (stand(),), length=45), during(0.8)),
    (Scene("is lost for 0.4 s while it walks", (walk(80, 5),)), during(0.4)),
    (Scene("is found from the sixth frame on", (walk(120, 4),), length=25), during(0.2, start=0)),
    (Scene("is lost twice in a second", (walk(80, 4),), length=45), lambda number: number // 5 in (3, 5)),
]
lost = pytest.mark.parametrize(("scene", "blind"), LOST, ids=[scene.name for scene, _ in LOST])


async def live(scene: Scene, detector: Detector, clock: FakeClock, **settings: object) -> list[Seen]:
    async with serving(detector, clock) as batcher:
        footage = await shoot(scene.frames(), batcher, clock, camera(**settings))
    assert footage.failure is None
    return watch(footage.packets)


async def file(scene: Scene, detector: Detector, clock: FakeClock, target: Path, **settings: object) -> list[Seen]:
    async with serving(detector, clock) as batcher:
        await convert(scene.frames(), batcher, clock, camera(**settings), target)
    seen = watch_file(target)
    assert [picture.number for picture in seen] == list(range(scene.length))
    return seen


@lost
async def test_a_face_that_the_detector_loses_is_hidden_live(
    scene: Scene, blind: Blind, mtcnn: Detector, clock: FakeClock
) -> None:
    seen = await live(scene, Blinded(mtcnn, blind), clock)
    assert [picture.number for picture in fresh(seen)] == list(range(scene.length))
    assert_nothing_leaks(scene, seen)


@pytest.mark.may_block  # a file's job has the loop to itself
@lost
async def test_a_face_that_the_detector_loses_is_hidden_in_a_file(
    scene: Scene, blind: Blind, mtcnn: Detector, clock: FakeClock, tmp_path: Path
) -> None:
    seen = await file(scene, Blinded(mtcnn, blind), clock, tmp_path / "out.mp4")
    assert_nothing_leaks(scene, seen)
    assert {picture.verdict for picture in seen} <= {Verdict.MASKED, Verdict.COASTED}
    assert all(picture.verdict is Verdict.COASTED for picture in seen if blind(picture.number or 0))


@pytest.mark.may_block  # a file's job has the loop to itself
@lost
async def test_without_tracks_each_of_these_is_seen(
    scene: Scene, blind: Blind, mtcnn: Detector, clock: FakeClock, tmp_path: Path
) -> None:
    """The control: the detector is blind indeed."""
    seen = await file(scene, Blinded(mtcnn, blind), clock, tmp_path / "out.mp4", track={"enabled": False})
    with pytest.raises(LeakedError):
        assert_nothing_leaks(scene, seen)


@pytest.mark.may_block  # a file's job has the loop to itself
async def test_what_may_be_a_face_does_not_uncover_one(mtcnn: Detector, clock: FakeClock, tmp_path: Path) -> None:
    """Around the whole person, whose face is lost, the detector has doubts in every other frame (0.2 to 0.5)."""
    if (reason := native.missing()) is not None:
        # Drawn by OpenCV instead, that person scores 0.9, and what hides all of it hides the number of the picture.
        pytest.skip(f"without the compiled kernels there is no doubt here: {reason}")
    scene = Scene("a small one is lost", (lambda number: Pose(345, 100, height=46), walk(60, 4)), length=36)
    blinded = Blinded(mtcnn, during(0.8), lambda box: box.centre[0] > 300 and box.centre[1] < 140)
    assert_nothing_leaks(scene, await file(scene, blinded, clock, tmp_path / "out.mp4"))


# And no longer than it must


def until(end: int, path: ScenePath) -> ScenePath:
    """Somebody who is gone from frame `end` on: a door has closed before them."""
    return lambda number: path(number) if number < end else None


def covered(target: Path, scene: Scene) -> list[int]:
    """The frames in which anything is hidden beside the faces that are there."""
    lines = [json.loads(line) for line in target.with_suffix(".jsonl").read_text().splitlines()]
    found = []
    for number, line in enumerate(lines):
        there = [face.box for face in scene.truth(number).faces]
        hidden = [Box(*region["box"]) for region in line["regions"]]
        if any(not any(box.shares(face) > 0.1 for face in there) for box in hidden):
            found.append(number)
    return found


GONE = 15
AFTER = 60
"""Frames after which a test has seen enough."""


@pytest.mark.may_block  # a file's job has the loop to itself
@pytest.mark.parametrize(
    "scene",
    [
        Scene("stood", (until(GONE, stand()),), length=GONE + AFTER, wall=lambda number: 2),
        Scene("walked", (until(GONE, walk(120, 5)),), length=GONE + AFTER, wall=lambda number: 2),
        Scene("went through the edge", (walk(330, 6),), length=GONE + AFTER),
        Scene("one of two", (until(GONE, stand(100)), walk(300, 0, mirrored=True)), length=GONE + AFTER),
    ],
    ids=lambda scene: scene.name,
)
async def test_the_cover_goes_after_the_face(scene: Scene, mtcnn: Detector, clock: FakeClock, tmp_path: Path) -> None:
    assert_nothing_leaks(scene, await file(scene, mtcnn, clock, tmp_path / "out.mp4"))
    assert max(covered(tmp_path / "out.mp4", scene), default=0) <= GONE + AGAIN * FPS


@pytest.mark.may_block  # a file's job has the loop to itself
async def test_a_cover_that_finds_something_like_a_face_goes_as_well(
    mtcnn: Detector, clock: FakeClock, tmp_path: Path
) -> None:
    """On this wall there is a spot, just where the face was, that looks to the detector a little like one (0.46)."""
    scene = Scene("stood before the spot", (until(GONE, stand()),), length=GONE + 90)
    await file(scene, mtcnn, clock, tmp_path / "out.mp4")
    most = HINTS_LAST * TrackOptions().hold
    assert GONE < max(covered(tmp_path / "out.mp4", scene)) <= GONE + most * FPS


@pytest.mark.may_block  # a file's job has the loop to itself
async def test_a_cover_ends_with_the_scene(mtcnn: Detector, clock: FakeClock, tmp_path: Path) -> None:
    scene = next(scene for scene in ALL if scene.name == "a cut away from a face")
    await file(scene, mtcnn, clock, tmp_path / "out.mp4")
    assert max(covered(tmp_path / "out.mp4", scene), default=GONE) < GONE + 0.2 * FPS


@pytest.mark.may_block  # a file's job has the loop to itself
async def test_the_look_ahead_does_not_look_over_a_cut(mtcnn: Detector, clock: FakeClock, tmp_path: Path) -> None:
    scene = next(scene for scene in ALL if scene.name == "a cut to a face")
    await file(scene, mtcnn, clock, tmp_path / "out.mp4")
    assert covered(tmp_path / "out.mp4", scene) == []


@pytest.mark.may_block  # a file's job has the loop to itself
async def test_the_look_ahead_covers_no_more_than_it_sees(mtcnn: Detector, clock: FakeClock, tmp_path: Path) -> None:
    scene = Scene("appears", (lambda number: Pose(200, LEVEL) if number >= GONE else None,), length=30)
    await file(scene, mtcnn, clock, tmp_path / "out.mp4")
    assert covered(tmp_path / "out.mp4", scene) == list(range(GONE - round(TrackOptions().look_ahead * FPS), GONE))
