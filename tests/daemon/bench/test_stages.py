"""Each stage by itself: the real ones, with a detector that writes down what it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from faceanond.capture.demo import DemoOptions
from faceanond.capture.demo_clip import write_demo_clip
from faceanond.clock import SystemClock
from faceanond.config.model import Camera
from faceanond.config.types import Source as SourceUrl
from faceanond.daemon.bench import stages as module
from faceanond.daemon.bench.stages import LEAST, WARM_UP, JumpingClock, decoded, measure_batches, measure_stages
from faceanond.errors import DetectionError, SourceError
from faceanond.frames import RawFrame
from tests.daemon.bench.notebook import NotebookDetector

FRAMES = 8


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camera]:
    path = str(tmp_path_factory.mktemp("bench") / "clip.mkv")
    write_demo_clip(path, DemoOptions(320, 240, 10.0), frames=FRAMES, within=60, clock=SystemClock())
    return Camera(source=SourceUrl("file", path))


@pytest.fixture(scope="module")
def frames(camera: Camera) -> list[RawFrame]:
    return decoded(camera, held=FRAMES, every=FRAMES, seconds=0)[1]


def test_waiting_on_the_jumping_clock_only_moves_the_hands() -> None:
    clock = JumpingClock()
    before = clock.monotonic()
    clock.skip(3600)
    assert 3600 <= clock.monotonic() - before < 3660


def test_decoding_is_measured_past_the_clips_end_and_leaves_pictures_from_the_scenes_begin(camera: Camera) -> None:
    cost, held = decoded(camera, held=5, every=FRAMES, seconds=0)
    assert cost.frames == LEAST
    assert 0 < cost.cpu.median <= cost.cpu.p95
    assert [frame.size for frame in held] == [(320, 240)] * 5
    assert [frame.id.index for frame in held] == [16, 17, 18, 19, 20], "11 were measured"
    assert all(frame.y.std() > 10 for frame in held)
    assert all(frame.suspect is None for frame in held)


def test_a_clip_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "clip.mkv").write_bytes(b"no video")
    with pytest.raises(SourceError):
        decoded(Camera(source=SourceUrl("file", str(tmp_path / "clip.mkv"))), held=1, every=FRAMES, seconds=0)


def test_each_stage_after_decoding_is_measured_as_often(camera: Camera, frames: Sequence[RawFrame]) -> None:
    measured = measure_stages(camera, NotebookDetector(faces=2), frames, fps=10, seconds=0)
    assert list(measured.stages) == ["detect", "track", "seal", "encode"]
    assert {cost.frames for cost in measured.stages.values()} == {LEAST}
    assert all(cost.cpu.mean > 0 and cost.wall.mean > 0 for cost in measured.stages.values())
    assert measured.found == 2


def test_the_detectors_own_steps_are_those_that_it_names_without_the_warm_up(
    camera: Camera, frames: Sequence[RawFrame]
) -> None:
    detector = NotebookDetector(steps=("first look", "total"), seconds=[9.0] * WARM_UP + [0.25] * LEAST)
    measured = measure_stages(camera, detector, frames, fps=10, seconds=0)
    assert measured.inside == pytest.approx({"first look": 250, "total": 250})


def test_a_detector_without_steps_has_none(camera: Camera, frames: Sequence[RawFrame]) -> None:
    assert measure_stages(camera, NotebookDetector(steps=()), frames, fps=10, seconds=0).inside == {}


def test_pictures_come_at_the_cameras_pace_and_never_jump(camera: Camera, frames: Sequence[RawFrame]) -> None:
    detector = NotebookDetector()
    measure_stages(camera, detector, frames, fps=10, seconds=0)
    asked = [request.frame for (request,) in detector.batches]
    steps = [later.captured - earlier.captured for earlier, later in pairwise(asked)]
    assert steps == pytest.approx([0.1] * (WARM_UP + LEAST - 1))
    first = frames[0].id.index
    assert [frame.id.index - first for frame in asked] == [0, 1, 2, 3, 4, 5, 6, 7, 6, 5, 4]


def test_every_size_of_batch_gets_the_same_pictures(camera: Camera, frames: Sequence[RawFrame]) -> None:
    detector = NotebookDetector()
    costs = measure_batches(camera, detector, frames, sizes=[1, 4], seconds=0)
    assert [(cost.frames, cost.cpu > 0, cost.wall > 0) for cost in costs] == [(1, True, True), (4, True, True)]
    sizes = [len(batch) for batch in detector.batches]
    assert sizes == [1, 1, 1, 1, 4] * 3, "a warm-up and two rounds"
    seen = [request.frame.id.index for batch in detector.batches for request in batch]
    for start in range(0, len(seen), 8):
        assert seen[start : start + 4] == seen[start + 4 : start + 8]
    assert len(set(seen)) == FRAMES


class HandTurnedTime:
    """Stands in for the `time` module: 20 ms of the processor and 30 ms of the day pass with each turn."""

    def __init__(self) -> None:
        self.turns = 0

    def turn(self) -> None:
        self.turns += 1

    def process_time(self) -> float:
        return 0.02 * self.turns

    def perf_counter(self) -> float:
        return 0.03 * self.turns


def test_the_time_of_a_batch_is_shared_by_its_frames(
    camera: Camera, frames: Sequence[RawFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = HandTurnedTime()
    monkeypatch.setattr(module, "time", hands)
    one, four = measure_batches(camera, NotebookDetector(meanwhile=hands.turn), frames, sizes=[1, 4], seconds=0)
    assert (one.cpu, one.wall) == pytest.approx((20, 30))
    assert (four.cpu, four.wall) == pytest.approx((5, 7.5))


def test_a_stage_costs_what_passes_inside_it(
    camera: Camera, frames: Sequence[RawFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = HandTurnedTime()
    monkeypatch.setattr(module, "time", hands)
    stages = measure_stages(camera, NotebookDetector(meanwhile=hands.turn), frames, fps=10, seconds=0.5).stages
    assert stages["detect"].frames == 17, "of 30 ms each, until half a second has passed"
    assert (stages["detect"].cpu.mean, stages["detect"].wall.p95) == pytest.approx((20, 30))
    assert (stages["seal"].cpu.mean, stages["encode"].wall.mean) == (0, 0)


def test_a_detector_that_gives_no_answer_ends_it(camera: Camera, frames: Sequence[RawFrame]) -> None:
    detector = NotebookDetector(error=DetectionError("nan", "not a number"))
    with pytest.raises(DetectionError, match="not a number"):
        measure_stages(camera, detector, frames, fps=10, seconds=0)
    with pytest.raises(DetectionError, match="not a number"):
        measure_batches(camera, detector, frames, sizes=[1], seconds=0)
