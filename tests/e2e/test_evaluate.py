"""`faceanond evaluate`: judges the installed command's own pipeline on a labelled clip."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.e2e.daemon import run_command
from tests.e2e.test_anonymise import clip

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

FRAMES = 12
FACE = (170, 70, 270, 210)


def labels(path: Path, video: Path, *, missed: bool = False) -> Path:
    """The moving face, and with `missed` somebody on the plain ground whom no detector can find."""
    faces = [_entry(frame, 0, [FACE[0] + 2 * frame, FACE[1], FACE[2] + 2 * frame, FACE[3]]) for frame in range(FRAMES)]
    if missed:
        faces += [_entry(frame, 1, [560, 400, 590, 440]) for frame in range(4)]
    digest = hashlib.sha256(video.read_bytes()).hexdigest()
    content = {"clip": video.name, "sha256": digest, "width": 640, "height": 480, "frames": FRAMES, "faces": faces}
    path.write_text(json.dumps(content))
    return path


def _entry(frame: int, track: int, box: list[int]) -> dict[str, object]:
    return {"frame": frame, "track": track, "box": box, "visibility": "clear", "kind": "face"}


def test_hidden_faces_are_told_from_leaked_ones(tmp_path: Path) -> None:
    video, out = clip(tmp_path / "in.mp4", frames=FRAMES + 3), tmp_path / "out.json"
    truth = labels(tmp_path / "labels.json", video, missed=True)
    result = run_command("evaluate", str(video), "--truth", str(truth), "--json", str(out))
    assert result.returncode == 0, result.stderr
    assert f"{FRAMES} frames judged ({FRAMES} masked)" in result.stdout
    assert "track 1     frames 0-3" in result.stdout
    told = json.loads(out.read_text())
    assert told["frames"]["judged"] == FRAMES
    assert told["clear_from_20"]["face_frames"] == FRAMES + 4
    assert told["clear_from_20"]["leaked"] == told["clear_from_20"]["longest_leak"] == 4
    assert [leak["track"] for leak in told["leaks"]] == [1]
    assert told["masking"]["over_masking"] < 0.5
    assert told["cost"]["cpu_ms"] > 0


def test_settings_are_those_that_are_judged(tmp_path: Path) -> None:
    video, out = clip(tmp_path / "in.mp4", frames=FRAMES), tmp_path / "out.json"
    truth = labels(tmp_path / "labels.json", video)
    result = run_command(
        "evaluate", str(video), "--truth", str(truth), "--json", str(out), "--set", "anonymise.margin=0.8",
        "--set", "anonymise.shape=box",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    told = json.loads(out.read_text())
    assert told["settings"]["anonymise"]["margin"] == 0.8
    assert told["masking"]["masked_to_faces"] > 4


def test_a_missing_clip_and_labels_of_another_are_told_apart(tmp_path: Path) -> None:
    video = clip(tmp_path / "in.mp4", frames=FRAMES)
    truth = labels(tmp_path / "labels.json", video)
    missing = run_command("evaluate", str(tmp_path / "no.mp4"), "--truth", str(truth))
    assert missing.returncode == 3
    assert missing.stderr == f"faceanond: {tmp_path}/no.mp4: there is no such file\n"
    other = clip(tmp_path / "other.mp4", frames=FRAMES + 1)
    wrong = run_command("evaluate", str(other), "--truth", str(truth))
    assert wrong.returncode == 2
    assert f"{truth}: sha256: these are the labels of another clip" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_the_labels_must_be_named(tmp_path: Path) -> None:
    result = run_command("evaluate", str(tmp_path / "in.mp4"))
    assert result.returncode == 2
    assert "--truth" in result.stderr
