"""The measuring instruments themselves: a barcode that lies or an oracle that sleeps would make every scene pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.config.model import DetectOptions
from faceanond.frames import Box, Detections, Face, RawFrame, Verdict
from faceanond.track.motion import MotionMeter
from tests.conftest import FakeClock
from tests.scenes import barcode
from tests.scenes.drawing import Pose
from tests.scenes.oracle import LeakedError, assert_nothing_leaks, leaks
from tests.scenes.scene import Scene, TrueFace
from tests.scenes.scenes import ALL, LEVEL, walk
from tests.scenes.stage import camera, shoot
from tests.scenes.viewer import Seen, fresh, watch

Answer = Callable[[TrueFace], list[Box]]
BOX = {"shape": "box", "margin": 0.0}
"""Hides exactly what is reported, so that half of a face stays open when half of it is reported."""

SUBJECTS = [
    Scene("stands", (walk(150, 1),), length=10),
    Scene("is small", (walk(150, 1, height=44),), length=10),
    Scene("is large", (walk(150, 1, height=150),), length=10),
    Scene("rolls", (walk(150, 1, roll=40.0),), length=10),
    Scene("runs", (walk(100, 14, shutter=1.0),), length=10),
    Scene("is in the dark", (walk(150, 1),), length=10, contrast=lambda number: 0.06),
    Scene("is half hidden", (walk(150, 0),), length=10, posts=((150, 200),)),
]
subjects = pytest.mark.parametrize("scene", SUBJECTS, ids=lambda scene: scene.name)


class Told:
    """A detector that says what the test wants it to say about the true faces."""

    def __init__(self, scene: Scene, answer: Answer) -> None:
        self._scene = scene
        self._answer = answer

    async def detect(self, frame: RawFrame, options: DetectOptions, expected: object = None) -> Detections:
        boxes = [box for face in self._scene.truth(frame.id.index).faces for box in self._answer(face)]
        return Detections(frame.id, tuple(Face(box, 0.9) for box in boxes))

    def forget(self, camera: str) -> None:
        return


async def published(scene: Scene, answer: Answer, clock: FakeClock, **settings: object) -> list[Seen]:
    footage = await shoot(scene.frames(), Told(scene, answer), clock, camera(**settings))
    seen = fresh(watch(footage.packets))
    assert [picture.number for picture in seen] == list(range(scene.length))
    return seen


def whole(face: TrueFace) -> list[Box]:
    return [face.box]


def nothing(face: TrueFace) -> list[Box]:
    return []


def left_half(face: TrueFace) -> list[Box]:
    return [Box(face.box.x1, face.box.y1, (face.box.x1 + face.box.x2) / 2, face.box.y2)]


def upper_half(face: TrueFace) -> list[Box]:
    return [Box(face.box.x1, face.box.y1, face.box.x2, (face.box.y1 + face.box.y2) / 2)]


def all_but_an_eye(face: TrueFace) -> list[Box]:
    """Open: a bit more than a quarter, above one of the middle lines."""
    x1, y1, x2, y2 = face.box.x1, face.box.y1, face.box.x2, face.box.y2
    return [Box(x1, y1, x1 + (x2 - x1) * 0.45, y2), Box(x1, y1 + (y2 - y1) * 0.55, x2, y2)]


@subjects
@pytest.mark.parametrize("bitrate", [300_000, 2_000_000])
async def test_the_oracle_sees_a_face_that_nobody_hid(scene: Scene, bitrate: int, clock: FakeClock) -> None:
    seen = await published(scene, nothing, clock, encode={"bitrate": bitrate})
    assert len(leaks(scene, seen)) == scene.length
    with pytest.raises(LeakedError, match="frame 0"):
        assert_nothing_leaks(scene, seen)


@subjects
@pytest.mark.parametrize("settings", [{"method": "mosaic", "mosaic_level": 7}, {"method": "solid"}, {"method": "blur"}])
async def test_the_oracle_sees_no_face_under_a_mask(
    scene: Scene, settings: dict[str, object], clock: FakeClock
) -> None:
    assert leaks(scene, await published(scene, whole, clock, anonymise=settings)) == []


@pytest.mark.parametrize("scene", SUBJECTS[:-1], ids=lambda scene: scene.name)
@pytest.mark.parametrize("answer", [left_half, upper_half, all_but_an_eye])
async def test_the_oracle_sees_a_face_of_which_only_a_part_is_hidden(
    scene: Scene, answer: Answer, clock: FakeClock
) -> None:
    seen = await published(scene, answer, clock, anonymise=BOX)
    assert {picture.verdict for picture in seen} == {Verdict.MASKED}
    assert len(leaks(scene, seen)) == scene.length


async def test_the_oracle_sees_a_mask_that_comes_late(clock: FakeClock) -> None:
    scene = Scene("runs", (walk(100, 14, shutter=0.0),), length=10)

    def where_it_was(face: TrueFace) -> list[Box]:
        return [Box(face.box.x1 - 56, face.box.y1, face.box.x2 - 56, face.box.y2)]

    assert len(leaks(scene, await published(scene, where_it_was, clock))) == scene.length


async def test_a_whole_picture_that_only_claims_to_be_concealed_is_no_excuse(clock: FakeClock) -> None:
    scene = SUBJECTS[0]
    luma = scene.truth(3).frame.y
    captured = scene.truth(3).frame.captured
    assert [leak.number for leak in leaks(scene, [Seen(luma, None, Verdict.FULL, captured)])] == [3]
    with pytest.raises(AssertionError, match="without a number"):
        leaks(scene, [Seen(luma, None, Verdict.MASKED, captured)])


def test_the_truth_of_a_half_hidden_face_is_half() -> None:
    (face,) = Scene("half", (walk(200, 0),), posts=((200, 300),)).truth(0).faces
    assert face.visible == pytest.approx(0.5, abs=0.03)
    assert face.shown.mean() == pytest.approx(np.pi / 8, abs=0.03)


def test_the_truth_of_two_who_cross_is_that_the_front_one_hides_the_other() -> None:
    scene = Scene("cross", (walk(200, 0), walk(210, 0, mirrored=True)))
    front, rear = scene.truth(0).faces
    assert front.visible == pytest.approx(1.0, abs=0.02)
    assert rear.visible < 0.2


@pytest.mark.parametrize("scene", ALL, ids=lambda scene: scene.name)
def test_no_face_comes_near_the_barcode(scene: Scene) -> None:
    for number in range(scene.length):
        for face in scene.truth(number).faces:
            assert face.box.grown(0.5).y2 < scene.size[1] - barcode.BAND


@pytest.mark.parametrize("number", [0, 1, 1365, 2730, 4095])
@pytest.mark.parametrize("bitrate", [50_000, 2_000_000])
async def test_a_barcode_survives_the_encoder(number: int, bitrate: int, clock: FakeClock) -> None:
    scene = Scene("walks", (lambda at: Pose(100 + at % 10, LEVEL),))
    frames = [scene.truth(number).frame]
    clock.move(max(0.0, frames[0].captured - clock.monotonic()))
    footage = await shoot(frames, Told(scene, nothing), clock, camera(encode={"bitrate": bitrate}))
    assert watch(footage.packets)[-1].number == number


@given(number=st.integers(0, 4095), flipped=st.integers(0, barcode.BITS - 1))
def test_a_barcode_with_one_wrong_block_is_no_number(number: int, flipped: int) -> None:
    plane = np.full((150, 200), 128, np.uint8)
    barcode.write(plane, number)
    assert barcode.read(plane) == number
    block = plane[-barcode.ROWS :, flipped * 10 : flipped * 10 + 10]
    block[:] = barcode.YELLOW + barcode.BLUE - block
    assert barcode.read(plane) is None


@pytest.mark.parametrize("level", [16, barcode.YELLOW, 128, barcode.BLUE, 235])
def test_a_flat_picture_has_no_number(level: int) -> None:
    assert barcode.read(np.full((150, 200), level, np.uint8)) is None


@pytest.mark.parametrize("scene", ALL, ids=lambda scene: scene.name)
def test_nothing_but_a_cut_looks_like_a_cut(scene: Scene) -> None:
    """What is drawn for the instruments' sake must not disturb what is measured."""
    meter = MotionMeter()
    cuts = {number for number in range(scene.length) if meter.measure(scene.truth(number).frame).cut}
    assert cuts <= {number for number in range(1, scene.length) if scene.wall(number) != scene.wall(number - 1)}
