"""The same faults while a file is anonymised: every frame is written, and none of them shows the face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceanond.anonymise import effects
from faceanond.frames import RawFrame, Verdict
from tests.conftest import FakeClock
from tests.scenes import barcode
from tests.scenes.detectors import FAULTS, Between, Fault, FaultyDetector, Knowing, of_another_frame
from tests.scenes.oracle import LeakedError, assert_nothing_leaks
from tests.scenes.scene import Scene
from tests.scenes.scenes import walk
from tests.scenes.stage import camera, convert, serving
from tests.scenes.viewer import Seen, watch_file

WALK = Scene("walks", (walk(90, 5),), length=30)
WHEN = range(12, 18)
SHOWN = {Verdict.MASKED, Verdict.COASTED}

pytestmark = pytest.mark.may_block  # a file's job has the loop to itself


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def assert_just_these_are_concealed(seen: list[Seen], when: range = WHEN) -> None:
    assert len(seen) == WALK.length
    assert {picture.verdict for picture in seen[when.start : when.stop]} == {Verdict.FULL}
    assert {picture.verdict for picture in [*seen[: when.start], *seen[when.stop :]]} <= SHOWN


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_detector_that_goes_wrong_conceals_just_those_pictures(
    fault: Fault, clock: FakeClock, tmp_path: Path
) -> None:
    detector = FaultyDetector(WALK, fault, WHEN, clock=clock)
    async with serving(detector, clock) as batcher:
        await convert(WALK.frames(), batcher, clock, camera(), tmp_path / "out.mp4")
    seen = watch_file(tmp_path / "out.mp4")
    assert_nothing_leaks(WALK, seen)
    assert_just_these_are_concealed(seen)


async def test_an_answer_for_another_frame_conceals_the_picture(clock: FakeClock, tmp_path: Path) -> None:
    async with serving(Knowing(WALK), clock) as batcher:
        spoiling = Between(batcher, WHEN, of_another_frame)
        await convert(WALK.frames(), spoiling, clock, camera(), tmp_path / "out.mp4")
    seen = watch_file(tmp_path / "out.mp4")
    assert_nothing_leaks(WALK, seen)
    assert_just_these_are_concealed(seen)


async def test_a_suspect_picture_is_concealed(clock: FakeClock, tmp_path: Path) -> None:
    frames = [replace(frame, suspect="corrupt") if frame.id.index in WHEN else frame for frame in WALK.frames()]
    async with serving(Knowing(WALK), clock) as batcher:
        await convert(frames, batcher, clock, camera(), tmp_path / "out.mp4")
    seen = watch_file(tmp_path / "out.mp4")
    assert_nothing_leaks(WALK, seen)
    assert_just_these_are_concealed(seen)


async def test_an_effect_that_fails_conceals_the_whole_picture(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = effects.hide, iter(range(1000))

    def hide(*arguments: object) -> None:
        if next(calls) in WHEN:
            raise ValueError("no such cell")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(effects, "hide", hide)
    async with serving(Knowing(WALK), clock) as batcher:
        await convert(WALK.frames(), batcher, clock, camera(), tmp_path / "out.mp4")
    seen = watch_file(tmp_path / "out.mp4")
    assert_nothing_leaks(WALK, seen)
    assert Verdict.FULL in {picture.verdict for picture in seen}


async def test_a_defect_leaves_no_file_behind(clock: FakeClock, tmp_path: Path) -> None:
    class Defect(Between):
        async def detect(self, frame: RawFrame, *more: object, **options: object) -> object:  # type: ignore[override]
            if barcode.read(frame.u) in WHEN:
                raise ZeroDivisionError
            return await super().detect(frame, *more, **options)

    async with serving(Knowing(WALK), clock) as batcher:
        spoiling = Defect(batcher, range(0), lambda answer: answer)
        with pytest.raises(ExceptionGroup):
            await convert(WALK.frames(), spoiling, clock, camera(), tmp_path / "out.mp4")
    assert [path.suffix for path in files(tmp_path)] == [".jsonl"]


@pytest.mark.parametrize("blind", [False, True], ids=["masked", "control"])
async def test_a_picture_of_another_size_is_masked_before_it_is_fitted(
    blind: bool, clock: FakeClock, tmp_path: Path
) -> None:
    small = Scene("walks on", (walk(50, 4),), size=(320, 240), length=30)
    frames = [*WALK.frames()[:15], *small.frames()[15:]]
    nobody = Scene("nobody", (), size=(320, 240), length=30)
    async with serving(Knowing(WALK, nobody if blind else small), clock) as batcher:
        await convert(frames, batcher, clock, camera(), tmp_path / "out.mp4")
    seen = watch_file(tmp_path / "out.mp4")
    assert [picture.number for picture in seen] == list(range(WALK.length))
    assert_nothing_leaks(WALK, seen[:15])
    after = [
        replace(picture, luma=np.asarray(cv2.resize(picture.luma, small.size, interpolation=cv2.INTER_AREA), np.uint8))
        for picture in seen[15:]
    ]
    if blind:
        with pytest.raises(LeakedError):
            assert_nothing_leaks(small, after)
    else:
        assert_nothing_leaks(small, after)
