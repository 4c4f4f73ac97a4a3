"""Recordings of a running daemon, asked for through HTTP and looked at with FFmpeg's own tools."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need_tool
from tests.e2e.daemon import Daemon, daemon, eventually
from tests.publish.record.reel import probed

pytestmark = pytest.mark.e2e

FPS = 15
LIST = "/api/cameras/yard/recordings"


def written(folder: Path, recordings: Path, *lines: str) -> Path:
    path = folder / "config.toml"
    record = ["[record]", "enabled = true", 'segment = "10s"', f'directory = "{recordings}"', 'min_free = "0"', *lines]
    camera = ["[cameras.yard]", f'source = "demo:?size=320x240&fps={FPS}"', 'encode.keyframe_interval = "1s"']
    path.write_text("\n".join([*record, *camera]))
    return path


def listed(running: Daemon) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = running.json(LIST)["recordings"]
    return found


def recording(running: Daemon) -> dict[str, Any]:
    told: dict[str, Any] = running.json("/api/cameras/yard")["recording"]
    return told


def decoded(path: Path) -> None:
    """Every picture, by FFmpeg, without a complaint. Times are passed on as they are: ffmpeg would force them onto a
    guessed frame rate otherwise, and complain of itself when a busy machine's pictures do not fit into that."""
    times = ["-fps_mode", "passthrough", "-enc_time_base", "-1"]
    done = subprocess.run(
        [need_tool("ffmpeg"), "-v", "warning", "-xerror", "-i", path, *times, "-f", "null", "-"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_daemon_records_without_a_gap_and_closes_its_last_file_in_time(tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    with daemon(["run", "-c", str(written(tmp_path, recordings))], tmp_path) as running:
        eventually(lambda: recording(running)["state"] == "recording", "it records")
        began = time.time()
        eventually(lambda: [one for one in listed(running) if one["complete"] and one["duration"] >= 10], "a file", 40)
        eventually(lambda: listed(running)[-1]["duration"] > 2, "the next file")
        first = next(one for one in listed(running) if one["complete"])
        whole = running.get(first["url"])
        asked = urllib.request.Request(running.url + first["url"], headers={"Range": "bytes=100-199"})
        with urllib.request.urlopen(asked, timeout=5) as answer:
            assert (answer.status, answer.read()) == (206, whole[100:200])
        assert running.metrics("faceanond_viewers")['{camera="yard",protocol="rtsp"}'] == 0
        ended = time.time()
        stopping = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - stopping < 5

    files = sorted(recordings.rglob("*.mp4*"))
    assert all(file.suffix == ".mp4" for file in files)
    assert (recordings / "yard" / files[0].parent.name / first["file"]).read_bytes() == whole
    spans = []
    for file in files:
        pictures, seconds = probed(file)
        decoded(file)
        end = file.stat().st_mtime
        spans.append((end - seconds, end))
        assert pictures >= 0.7 * seconds * FPS
    for (_, before), (after, _) in pairwise(spans):
        assert abs(after - before) < 1 / FPS
    assert spans[0][0] < began
    assert spans[-1][1] > ended - 1
    assert sum(end - start for start, end in spans) == pytest.approx(spans[-1][1] - spans[0][0], abs=0.1)


def test_what_a_killed_daemon_recorded_plays_at_once_and_is_listed_by_the_next(tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    arguments = ["run", "-c", str(written(tmp_path, recordings))]
    with daemon(arguments, tmp_path) as running:
        eventually(lambda: sum(one["duration"] for one in listed(running)) > 3.0, "some seconds are on disk")
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(5)
    (part,) = recordings.rglob("*.part")
    # What ffprobe says of a torn end is its business; that it plays is ours.
    assert subprocess.run([need_tool("ffprobe"), "-v", "quiet", part], check=False, timeout=30).returncode == 0
    with daemon(arguments, tmp_path) as running:
        eventually(lambda: any(one["file"] + ".part" == part.name and one["complete"] for one in listed(running)), "it")
        assert not part.exists()
        closed = part.with_suffix("")
        _, seconds = probed(closed)
        decoded(closed)
        (told,) = [one for one in listed(running) if one["file"] == closed.name]
        assert told["duration"] == pytest.approx(seconds, abs=0.002)
        assert told["bytes"] == closed.stat().st_size
        running.stop()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run([need_tool("mount"), "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run([need_tool("umount"), "-l", place], check=True)


def test_a_full_disk_stops_the_recording_alone_and_only_for_as_long_as_it_is_full(tmp_path: Path, small: Path) -> None:
    config = written(tmp_path, small / "recordings")
    with daemon(["run", "-c", str(config)], tmp_path) as running:
        eventually(lambda: recording(running)["state"] == "recording", "it records")
        other = small / "others.bin"
        with other.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(bytes(4096))
        eventually(lambda: recording(running)["failures"].get("full"), "the disk is full")
        assert recording(running)["last_error"]
        before = running.published("yard")
        eventually(lambda: running.published("yard") > before + FPS, "viewers get pictures all the same")
        assert running.status_of("/readyz") == 200
        assert running.get("/cameras/yard/snapshot.jpg").startswith(b"\xff\xd8")
        assert other.exists(), "somebody else's file is never deleted"
        other.unlink()
        eventually(lambda: recording(running)["state"] == "recording", "it records again", 40)
        running.stop()
    assert '"event": "recording again"' in running.log.read_text()
    for file in (small / "recordings").rglob("*.mp4"):
        decoded(file)
