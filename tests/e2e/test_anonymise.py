"""`faceanond anonymise`: the file comes out whole, in order, and without the face."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.e2e.daemon import COMMAND, run_command
from tests.pictures import astronaut

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

FRAMES = 30


def clip(path: Path, *, audio: bool = False, frames: int = FRAMES) -> Path:
    """A real H.264 file that shows the packaged face, moving."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        sound = container.add_stream("aac", rate=48000) if audio else None
        for index in range(frames):
            picture = astronaut()
            shift = np.hstack(
                [np.roll(plane, 2 * index // factor, 1).reshape(-1) for plane, factor in _planes(picture)]
            )
            frame = av.VideoFrame.from_ndarray(shift.reshape(720, 640), format="yuv420p")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            for index in range(frames):
                block = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.float32), format="fltp", layout="mono")
                block.sample_rate, block.pts = 48000, index * 1920
                container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    return path


def _planes(frame):  # type: ignore[no-untyped-def]
    return ((frame.y, 1), (frame.u, 2), (frame.v, 2))


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


@pytest.mark.parametrize("method", ["mosaic", "blur", "solid"])
def test_every_frame_is_kept_and_its_face_is_changed(tmp_path: Path, method: str) -> None:
    source, target, report = clip(tmp_path / "in.mp4"), tmp_path / "out.mp4", tmp_path / "report.jsonl"
    result = run_command(
        "anonymise", str(source), str(target), "--report", str(report), "--set", f"anonymise.method={method}"
    )
    assert result.returncode == 0, result.stderr
    assert f"{FRAMES} frames" in result.stdout
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    assert [line["pts"] for line in lines] == pytest.approx([index / 25 for index in range(FRAMES)], abs=1e-3)
    before, after = pictures(source), pictures(target)
    assert len(after) == FRAMES
    for index, line in enumerate(lines):
        assert line["verdict"] == "masked"
        x1, y1, x2, y2 = (int(value) for value in line["regions"][0]["box"])
        left, right = 165 + 2 * index, 275 + 2 * index
        assert x1 < left + 15
        assert x2 > right - 15
        assert x1 < x2 <= 640
        inner = np.s_[y1 + (y2 - y1) // 4 : y2 - (y2 - y1) // 4, x1 + (x2 - x1) // 4 : x2 - (x2 - x1) // 4]
        assert _detail(after[index][inner]) < 0.5 * _detail(before[index][inner])


def _detail(picture: np.ndarray) -> float:
    """How much fine structure there is: what a mosaic, a blur and a plain fill all take away."""
    return float(np.abs(picture.astype(float) - cv2.GaussianBlur(picture, (0, 0), 3)).mean())


def test_audio_is_removed_unless_it_is_asked_for(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", audio=True)
    for arguments, streams in ((["--keep-audio"], 2), ([], 1)):
        target = tmp_path / "out.mp4"
        assert run_command("anonymise", str(source), str(target), *arguments).returncode == 0
        with av.open(str(target)) as container:
            assert len(container.streams) == streams


def test_a_missing_input_is_told_and_nothing_is_left_behind(tmp_path: Path) -> None:
    result = run_command("anonymise", str(tmp_path / "no.mp4"), str(tmp_path / "out.mp4"))
    assert result.returncode == 3
    assert "there is no such file" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "expected"), [(b"this is not a video\n" * 50, "video"), (b"", "video"), (b"\x00" * 4096, "video")]
)
def test_a_file_that_is_no_video_is_told(tmp_path: Path, content: bytes, expected: str) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(content)
    result = run_command("anonymise", str(source), str(tmp_path / "out.mp4"))
    assert result.returncode == 2
    assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


def test_a_file_that_breaks_off_is_anonymised_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mkv", frames=60).read_bytes()
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    source.write_bytes(whole[: len(whole) * 9 // 10])
    result = run_command("anonymise", str(source), str(target))
    assert result.returncode in (0, 1), result.stderr
    assert "Traceback" not in result.stderr
    assert 1 <= len(pictures(target)) < 60


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", frames=3)
    before = source.read_bytes()
    result = run_command("anonymise", str(source), str(source))
    assert result.returncode == 2
    assert source.read_bytes() == before


def test_a_target_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    result = run_command("anonymise", str(clip(tmp_path / "in.mp4", frames=3)), str(tmp_path / "out.avi"))
    assert result.returncode == 2
    assert ".mkv" in result.stderr


@pytest.mark.parametrize("full", ["report", "video"])
def test_a_full_disk_is_told_and_leaves_no_half_video(tmp_path: Path, full: str) -> None:
    # A short report fails when it is closed, behind the video; a long one as soon as its buffer is full, and ends both.
    frames = 10 if full == "report" else 40
    source, folder = clip(tmp_path / "in.mp4", frames=frames), tmp_path / "out"
    folder.mkdir()
    target = folder / "out.mp4"
    report = Path("/dev/full") if full == "report" else folder / "report.jsonl"
    limits = ["prlimit", "--fsize=20000"] if full == "video" else []
    result = subprocess.run(
        [*limits, *COMMAND, "anonymise", str(source), str(target), "--report", str(report)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode in (1, 3), result.stderr
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    # A whole video is kept even when its report failed; half a video never is.
    assert not target.exists() or len(pictures(target)) == frames
    assert target.exists() == (full == "report")
    assert not list(folder.glob(".*.part*"))


def test_a_bad_override_names_itself(tmp_path: Path) -> None:
    result = run_command("anonymise", "in.mp4", "out.mp4", "--set", "anonymise.method=none")
    assert result.returncode == 2
    assert "anonymise.method" in result.stderr
    assert "not an option" in result.stderr
