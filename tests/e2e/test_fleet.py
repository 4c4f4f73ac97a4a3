"""`faceanond run` on a fleet of real sources: an RTSP server, an HTTP MJPEG server and two files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import MEDIA, need_tool
from tests.e2e.browser import decoded, wall
from tests.e2e.daemon import Daemon, daemon, eventually, free_port
from tests.e2e.test_anonymise import clip

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

HERE = Path(__file__).parent
PASSWORD = "hunter2-Geheim"


@contextmanager
def server(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A helper process; killed at the end."""
    with log.open("ab") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        yield process
    finally:
        process.kill()
        process.wait(5)


def rtsp_server(port: int, source: Path, log: Path) -> object:
    """GStreamer's RTSP server with user name and password, playing a file in a loop."""
    python = "/usr/bin/python3"
    if (
        not Path(python).exists()
        or subprocess.run(
            [python, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"], capture_output=True, check=False
        ).returncode
    ):
        need_tool("gstreamer's-rtsp-server (python3-gi, gir1.2-gst-rtsp-server-1.0)")
    return server(python, str(HERE / "rtsp_camera.py"), str(port), "viewer", PASSWORD, str(source), log=log)


def sources(folder: Path) -> tuple[Path, Path]:
    """Two clips: real ones when they are on this machine, else made ones."""
    real = [MEDIA / "clips" / name for name in ("webcam_cap12_400x300.mp4", "short_hamilton_clip.mp4")]
    if all(path.is_file() for path in real):
        return real[0], real[1]
    first = clip(folder / "first.mp4", frames=60)
    return first, Path(shutil.copy(first, folder / "second.mp4"))


def fleet(folder: Path, rtsp: int, http: int, first: Path, second: Path, transport: str) -> Path:
    config = folder / "config.toml"
    config.write_text(
        f"""
[cameras.gate]
source = "rtsp://127.0.0.1:{rtsp}/stream"
username = "viewer"
password = "${{env:GATE_PASSWORD}}"
transport = "{transport}"
timeout = "3s"
[cameras.hall]
source = "http://127.0.0.1:{http}/video.mjpg"
[cameras.desk]
source = "file:{first}"
[cameras.stage]
source = "file:{second}"
[cameras.stage.anonymise]
method = "blur"
"""
    )
    return config


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_four_cameras_play_at_once_and_one_that_dies_troubles_no_other(tmp_path: Path, transport: str) -> None:
    first, second = sources(tmp_path)
    rtsp, http = free_port(), free_port()
    config = fleet(tmp_path, rtsp, http, first, second, transport)
    environ = {"GATE_PASSWORD": PASSWORD}
    mjpeg = server(sys.executable, str(HERE / "mjpeg_camera.py"), str(http), log=tmp_path / "mjpeg.log")
    with mjpeg, daemon(["run", "-c", str(config)], tmp_path, environ=environ) as running:
        gate = rtsp_server(rtsp, first, tmp_path / "rtsp.log")
        with gate, wall(running.url) as page:  # type: ignore[attr-defined]
            eventually(lambda: _up(running) == {"gate", "hall", "desk", "stage"}, "all four cameras are up", 30)
            eventually(lambda: len(decoded(page)) >= 4, "four cameras play in the browser", 30)
            before = decoded(page)
            eventually(lambda: all(decoded(page)[key] > before[key] for key in before), "all four go on", 30)
        # The server is gone now: that camera is concealed, the others go on.
        eventually(lambda: "gate" not in _up(running), "the dead camera is noticed", 30)
        eventually(lambda: _concealed(running, "gate") == "no_signal", "the dead camera is concealed", 10)
        shown = {name: running.shown(name) for name in ("hall", "desk", "stage")}
        eventually(lambda: all(running.shown(name) > count + 5 for name, count in shown.items()), "others go on", 20)
        assert _up(running) == {"hall", "desk", "stage"}
        with rtsp_server(rtsp, first, tmp_path / "rtsp.log"):  # type: ignore[attr-defined]
            eventually(lambda: "gate" in _up(running), "the camera comes back by itself", 60)
            count = running.shown("gate")
            eventually(lambda: running.shown("gate") > count, "and is shown again", 20)
        assert running.stop() == 0
    assert PASSWORD not in (tmp_path / "daemon.log").read_text()


def _up(running: Daemon) -> set[str]:
    return {labels.split('"')[1] for labels, value in running.metrics("faceanond_camera_up").items() if value}


def _concealed(running: Daemon, camera: str) -> str | None:
    reason = running.json(f"/api/cameras/{camera}")["fail_closed"]
    return None if reason is None else str(reason)


def test_wrong_cameras_say_why_and_the_good_one_runs(tmp_path: Path) -> None:
    good, _ = sources(tmp_path)
    text, audio = tmp_path / "text.mp4", tmp_path / "audio.m4a"
    text.write_text("not a video\n" * 100)
    subprocess.run(
        [need_tool("ffmpeg"), "-v", "error", "-f", "lavfi", "-i", "sine=d=1", str(audio)], check=True, timeout=30
    )
    rtsp, nobody = free_port(), free_port()
    config = tmp_path / "config.toml"
    config.write_text(
        f"""
[cameras.good]
source = "file:{good}"
[cameras.missing]
source = "file:{tmp_path}/no-such.mp4"
[cameras.text]
source = "file:{text}"
[cameras.audio]
source = "file:{audio}"
[cameras.nobody]
source = "rtsp://127.0.0.1:{nobody}/x"
[cameras.wrong-password]
source = "rtsp://127.0.0.1:{rtsp}/stream"
username = "viewer"
password = "not-it-{PASSWORD}"
[cameras.no-stream]
source = "rtsp://127.0.0.1:{rtsp}/no-such-path"
username = "viewer"
password = "{PASSWORD}"
"""
    )
    expected = {
        "missing": "not_found",
        "text": "not_video",
        "audio": "not_video",
        "nobody": "unreachable",
        "wrong-password": "unauthorised",
        "no-stream": "not_found",
    }
    with (
        rtsp_server(rtsp, good, tmp_path / "rtsp.log"),  # type: ignore[attr-defined]
        daemon(["run", "-c", str(config)], tmp_path) as running,
    ):
        eventually(lambda: running.shown("good") > 0, "the good camera is shown")

        def reasons() -> dict[str, str]:
            found = {}
            for labels, value in running.metrics("faceanond_camera_reconnects_total").items():
                parts = dict(part.split("=") for part in labels.strip("{}").split(","))
                if value:
                    found[parts["camera"].strip('"')] = parts["reason"].strip('"')
            return found

        eventually(lambda: len(reasons()) == len(expected), "every wrong camera has its reason", 30)
        assert reasons() == expected
        count = running.shown("good")
        eventually(lambda: running.shown("good") > count + 5, "the good camera goes on")
        messages = {name: running.json(f"/api/cameras/{name}")["last_error"] for name in expected}
        assert all(messages.values()), messages
    assert PASSWORD not in (tmp_path / "daemon.log").read_text()
    assert "Traceback" not in (tmp_path / "daemon.log").read_text()
