"""A labelled clip through the real stages; only the detector is told what to find."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
import pytest

from faceanond.cli import main
from faceanond.clock import SystemClock
from faceanond.config.load import parse
from faceanond.config.model import Config, DetectOptions
from faceanond.daemon.evaluate_job import Evaluation, evaluate_clip, survey
from faceanond.daemon.file_job import PATIENCE
from faceanond.detect.factory import open_detector
from faceanond.errors import DetectionError, ExitCode, SourceError, UnavailableError, UsageError
from faceanond.evaluate.tally import seen_clearly
from faceanond.evaluate.truth import ClipFacts, Label, Truth, read_truth
from faceanond.frames import Box, Detections, Face, RawFrame, Verdict
from faceanond.inference.batcher import Batcher
from tests.evaluate.labels import document, label

FACE = (100, 60, 160, 140)
FRAMES = 8


def clip(path: Path, frames: int = FRAMES) -> Path:
    """Noise that stays the same, so that every mask changes something."""
    noise = np.random.default_rng(3).integers(60, 180, (360, 320)).astype(np.uint8)
    noise[240:] = 128
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "10"})
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        for _ in range(frames):
            container.mux(video.encode(av.VideoFrame.from_ndarray(noise, format="yuv420p")))
        container.mux(video.encode(None))
    return path


class Told:
    """Finds in each frame what it is told; gives no answer where there is nothing to tell."""

    def __init__(self, faces: Mapping[int, tuple[float, float, float, float] | None]) -> None:
        self._faces = faces
        self.asked: list[int] = []

    async def detect(self, frame: RawFrame, options: DetectOptions, expected: object = None) -> Detections:
        self.asked.append(frame.id.index)
        if frame.id.index not in self._faces:
            raise DetectionError("timeout", "no answer")
        box = self._faces[frame.id.index]
        return Detections(frame.id, () if box is None else (Face(Box(*box), 0.9),))


def config(*overrides: str) -> Config:
    return parse("", "defaults", overrides)


async def evaluated(path: Path, labels: list[Label], detector: Told, frames: int = FRAMES) -> Evaluation:
    clock, settings = SystemClock(), config("track.enabled=false")
    return await evaluate_clip(
        path, Truth(frames, labels), survey(path, settings, clock=clock), settings, detector, clock=clock
    )


@pytest.mark.may_block
async def test_found_faces_are_covered_missed_ones_leak_and_no_answer_conceals(tmp_path: Path) -> None:
    found: dict[int, tuple[float, float, float, float] | None] = dict.fromkeys((0, 1, 2, 3, 6), FACE)
    found[4] = found[5] = None
    done = await evaluated(clip(tmp_path / "in.mkv"), [label(frame, box=FACE) for frame in range(8)], Told(found))
    row = done.tally.row(seen_clearly)
    assert (row.face_frames, row.leaked, row.longest, row.concealed) == (8, 2, 2, 1)
    assert done.tally.verdicts == {Verdict.MASKED: 5, Verdict.CLEAN: 2, Verdict.FULL: 1}
    assert done.tally.reasons == {"timeout": 1}
    assert done.tally.over == 0
    assert done.cpu_ms >= 0
    assert done.wall_ms > 0


@pytest.mark.may_block
async def test_nothing_behind_the_labels_is_looked_at(tmp_path: Path) -> None:
    detector = Told({})
    done = await evaluated(clip(tmp_path / "in.mkv"), [], detector, frames=3)
    assert done.tally.frames == 3
    assert detector.asked == [0, 1, 2]


@pytest.mark.may_block
async def test_progress_is_told(tmp_path: Path) -> None:
    path, clock, settings, told = clip(tmp_path / "in.mkv"), SystemClock(), config(), list[int]()
    looked = survey(path, settings, clock=clock)
    await evaluate_clip(path, Truth(FRAMES, []), looked, settings, Told({}), clock=clock, progress=told.append)
    assert told == list(range(1, FRAMES + 1))


def test_a_survey_counts_what_can_be_decoded(tmp_path: Path) -> None:
    facts = survey(clip(tmp_path / "in.mkv"), config(), clock=SystemClock()).facts
    assert (facts.width, facts.height, facts.frames) == (320, 240, FRAMES)
    assert len(facts.sha256) == 64


def test_what_is_no_clip_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="there is no such file"):
        survey(tmp_path / "no.mkv", config(), clock=SystemClock())
    with pytest.raises(UnavailableError, match="is a directory"):
        survey(tmp_path, config(), clock=SystemClock())
    text = tmp_path / "in.mkv"
    text.write_text("no video\n" * 100)
    with pytest.raises((UsageError, SourceError)):
        survey(text, config(), clock=SystemClock())


def test_mistakes_in_the_labels_are_told_one_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, labels = clip(tmp_path / "in.mkv"), tmp_path / "labels.json"
    labels.write_text(json.dumps(document(frames=9, width=640)))
    assert main(["evaluate", str(path), "--truth", str(labels)]) == ExitCode.USAGE
    said = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:2] for line in said[:-1]] == [
        [str(labels), "sha256"],
        [str(labels), "width"],
        [str(labels), "frames"],
    ]
    assert said[-1] == "faceanond: 3 mistakes in the labels"


def test_missing_labels_are_a_wrong_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(clip(tmp_path / "in.mkv")), "--truth", str(tmp_path / "no.json")]) == ExitCode.USAGE
    assert f"{tmp_path}/no.json: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("in.mkv", ExitCode.USAGE, "is an input"),
        ("labels.json", ExitCode.USAGE, "is an input"),
        ("no/out.json", ExitCode.UNAVAILABLE, "does not exist"),
        (".", ExitCode.UNAVAILABLE, "is a directory"),
    ],
)
def test_a_place_that_cannot_take_the_result_is_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, code: ExitCode, said: str
) -> None:
    path, labels = clip(tmp_path / "in.mkv"), tmp_path / "labels.json"
    labels.write_text(json.dumps(document(sha256=None, frames=FRAMES)))
    before = path.read_bytes(), labels.read_bytes()
    assert main(["evaluate", str(path), "--truth", str(labels), "--json", str(tmp_path / output)]) == code
    assert said in capsys.readouterr().err
    assert before == (path.read_bytes(), labels.read_bytes())


@pytest.mark.may_block
async def test_an_easy_real_clip_does_not_leak(media: Path) -> None:
    path = media / "clips" / "head-pose-face-detection-female.mp4"
    clock, settings = SystemClock(), config("detector.device=cpu")
    looked = survey(path, settings, clock=clock)
    truth = read_truth(media / "labels" / f"{path.name}.json", looked.facts)
    detector = open_detector(settings.detector)
    batcher = Batcher(detector, max_batch=1, timeout=PATIENCE, clock=clock)
    async with asyncio.TaskGroup() as group:
        inference = group.create_task(batcher.run(), name="inference")
        done = await evaluate_clip(path, truth, looked, settings, batcher, clock=clock)
        inference.cancel()
    detector.close()
    row = done.tally.row(seen_clearly)
    assert (row.face_frames, row.leaked) == (23, 0)
    assert 1 < (done.tally.masked_to_faces or 0) < 3


def test_labels_must_belong_to_the_clip(tmp_path: Path) -> None:
    facts = survey(clip(tmp_path / "in.mkv"), config(), clock=SystemClock()).facts
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(document(sha256=facts.sha256, frames=FRAMES)))
    assert read_truth(labels, facts).frames == FRAMES
    assert facts == ClipFacts(facts.sha256, 320, 240, FRAMES)
