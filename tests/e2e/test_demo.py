"""`faceanond demo` as a newcomer runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.conftest import need_tool
from tests.e2e.browser import decoded, wall
from tests.e2e.daemon import Daemon, daemon, eventually, free_port, run_command
from tests.gstreamer import went_well

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]


def probe(url: str, transport: str) -> dict[str, object]:
    """What ffprobe sees in the stream."""
    result = subprocess.run(
        [need_tool("ffprobe"), "-v", "error", "-rtsp_transport", transport, "-show_streams", "-of", "json", url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout)["streams"][0])


def test_the_demo_plays_everywhere(tmp_path: Path) -> None:
    with daemon(["demo"], tmp_path) as running:
        names = [camera["name"] for camera in running.json("/api/cameras")["cameras"]]
        assert names == ["demo-1", "demo-2"]
        with wall(running.url) as page:
            first = eventually(lambda: len(found := decoded(page)) >= 2 and found, "both cameras play", 30)
            eventually(
                lambda: all(decoded(page)[key] > first[key] + 5 for key in first), "both cameras go on playing", 30
            )
        _is_seen_by_players(running)
        _is_measured(running)
        assert running.stop() == 0


def _is_seen_by_players(running: Daemon) -> None:
    for transport in ("tcp", "udp"):
        seen = probe(f"{running.rtsp}/demo-1", transport)
        assert (seen["codec_name"], seen["width"], seen["height"]) == ("h264", 1280, 720)
    picture = running.get("/cameras/demo-2/snapshot.jpg")
    assert picture.startswith(b"\xff\xd8")


def _is_measured(running: Daemon) -> None:
    before = {name: running.published(name) for name in ("demo-1", "demo-2")}
    eventually(lambda: all(running.published(name) > count for name, count in before.items()), "frames go out")
    assert running.metrics("faceanond_camera_up") == {'{camera="demo-1"}': 1.0, '{camera="demo-2"}': 1.0}
    eventually(lambda: running.metrics("faceanond_faces_detected_total")['{camera="demo-1"}'] > 0, "a face is found")
    checked = subprocess.run(
        [need_tool("promtool"), "check", "metrics"],
        input=running.get("/metrics"),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_gstreamer_plays_the_demo(tmp_path: Path) -> None:
    launch = need_tool("gst-launch-1.0")
    with daemon(["demo", "--cameras", "1"], tmp_path) as running:
        eventually(lambda: running.shown("demo-1") > 0, "the camera is shown")
        for protocols in ("tcp", "udp"):
            pipeline = f"rtspsrc location={running.rtsp}/demo-1 protocols={protocols} ! decodebin ! videoconvert ! "
            result = subprocess.run(
                [launch, "-q", *pipeline.split(), "fakesink", "num-buffers=10"],
                capture_output=True,
                text=True,
                timeout=40,
                check=False,
            )
            assert went_well(result.returncode, result.stderr), result.stderr


def test_the_duration_ends_the_demo_in_order(tmp_path: Path) -> None:
    result = run_command(
        "demo", "--cameras", "1", "--duration", "2", "--port", str(free_port()), "--set", "rtsp.listen=127.0.0.1:0"
    )
    assert result.returncode == 0, result.stderr
    assert "Watch:    http://127.0.0.1:" in result.stdout
    assert "stopped" in result.stderr


def test_a_port_in_use_is_told_with_what_to_do(tmp_path: Path) -> None:
    with daemon(["demo", "--cameras", "1"], tmp_path) as running:
        port = running.url.rpartition(":")[2]
        result = run_command("demo", "--port", port, "--set", "rtsp.listen=127.0.0.1:0")
        assert result.returncode == 3
        assert f"http.listen: cannot listen on TCP 127.0.0.1:{port}: another program uses this port" in result.stderr
        rtsp = running.rtsp.rpartition(":")[2]
        result = run_command("demo", "--port", "0", "--set", f"rtsp.listen=127.0.0.1:{rtsp}")
        assert result.returncode == 3
        assert "rtsp.listen" in result.stderr


def test_a_malformed_offer_gets_400_and_nothing_else_happens(tmp_path: Path) -> None:
    curl = need_tool("curl")
    with daemon(["demo", "--cameras", "1"], tmp_path) as running:
        before = running.published("demo-1")
        for body in ("", "nonsense" * 100, "v=0\r\nm=video x UDP/TLS/RTP/SAVPF 96\r\n"):
            headers = ["-H", "Content-Type: application/sdp", "--data-binary", body]
            answer = subprocess.run(
                [curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", *headers, f"{running.url}/whep/demo-1"],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
            assert answer.stdout == "400"
        eventually(lambda: running.published("demo-1") > before, "the camera goes on")
        assert running.status_of("/healthz") == 200
