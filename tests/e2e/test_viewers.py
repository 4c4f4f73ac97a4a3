"""A daemon with viewers, as each of them sees it, on all of its listeners."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.conftest import need_tool
from tests.e2e.daemon import Daemon, daemon, eventually
from tests.publish.webrtc.offers import offer

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

CONFIG = """
[viewers.guard]
password = "guards-password"
cameras = ["lobby"]
[viewers.scraper]
token = "token-of-the-scraper"
[cameras.lobby]
source = "demo:"
[cameras.yard]
source = "demo:"
"""
SHARED = """
[viewers.guard]
password = "guards-password"
max_streams = 1
[viewers.chief]
password = "chiefs-password"
[cameras.lobby]
source = "demo:"
"""
GUARD = "Basic " + base64.b64encode(b"guard:guards-password").decode()
SCRAPER = "Bearer token-of-the-scraper"


def ask(running: Daemon, path: str, login: str | None = None, offer: str | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(
        running.url + path, headers={"Authorization": login} if login else {}, data=offer.encode() if offer else None
    )
    if offer:
        request.add_header("Content-Type", "application/sdp")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def plays(url: str) -> bool:
    command = [need_tool("ffprobe"), "-v", "error", "-rtsp_transport", "tcp", "-show_streams", url]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


@contextmanager
def streaming(running: Daemon) -> Iterator[None]:
    """The guard watches the lobby as MP4, from pictures on that stay as large as they are."""

    def opened() -> HTTPResponse | None:
        stream: HTTPResponse = urllib.request.urlopen(request, timeout=10)
        if len(stream.read(50_000)) == 50_000:
            return stream
        stream.close()
        return None

    request = urllib.request.Request(f"{running.url}/cameras/lobby/stream.mp4", headers={"Authorization": GUARD})
    with eventually(opened, "an endless stream"):
        yield


def test_each_viewer_gets_its_own_and_nobody_else_anything(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    with daemon(["run", "-c", str(config)], tmp_path) as running:
        assert json.loads(ask(running, "/readyz")[1]) == {"ok": True}
        for path in ("/", "/metrics", "/api/cameras", "/cameras/lobby/snapshot.jpg"):
            assert ask(running, path)[0] == 401
            assert ask(running, path, "Bearer not-the-scrapers-token")[0] == 401
        assert [camera["name"] for camera in json.loads(ask(running, "/api/cameras", GUARD)[1])["cameras"]] == ["lobby"]
        eventually(lambda: ask(running, "/cameras/lobby/snapshot.jpg", GUARD)[1].startswith(b"\xff\xd8"), "a picture")
        assert ask(running, "/cameras/yard/snapshot.jpg", GUARD)[0] == 404
        assert ask(running, "/metrics", GUARD)[0] == 403
        status, body = ask(running, "/metrics", SCRAPER)
        assert status == 200
        assert b'faceanond_logins_failed_total{protocol="http"} 4.0' in body
        address = running.rtsp.removeprefix("rtsp://")
        assert plays(f"rtsp://guard:guards-password@{address}/lobby")
        assert not plays(f"rtsp://guard:guards-password@{address}/yard")
        assert not plays(f"rtsp://{address}/lobby")
        assert "not-the-scrapers-token" not in running.log.read_text()
        assert running.stop() == 0


def test_a_viewers_streams_are_counted_over_all_listeners(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(SHARED)
    with daemon(["run", "-c", str(config)], tmp_path) as running:
        eventually(lambda: ask(running, "/cameras/lobby/snapshot.jpg", GUARD)[1].startswith(b"\xff\xd8"), "a picture")
        address = running.rtsp.removeprefix("rtsp://")
        mine, other = f"rtsp://guard:guards-password@{address}/lobby", f"rtsp://chief:chiefs-password@{address}/lobby"
        with streaming(running):
            assert not plays(mine)
            assert plays(other)
            status, body = ask(running, "/whep/lobby", GUARD, offer())
            assert (status, "viewers.guard.max_streams" in body.decode()) == (429, True)
            assert ask(running, "/cameras/lobby/snapshot.jpg", GUARD)[0] == 200
        eventually(lambda: plays(mine), "the place is free")
        assert ask(running, "/whep/lobby", GUARD, offer())[0] == 201
        assert ask(running, "/cameras/lobby/stream.mp4", GUARD)[0] == 429
        assert "viewers.guard.max_streams reached" in running.log.read_text()
        assert running.stop() == 0


def test_the_stop_tells_once_of_each_viewer_that_the_server_stops(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    settings = ["--set", "log.format=json"]
    with daemon(["run", "-c", str(config), *settings], tmp_path) as running:
        command = [need_tool("ffmpeg"), "-v", "error", "-rtsp_transport", "tcp"]
        url = running.rtsp.replace("//", "//guard:guards-password@") + "/lobby"
        player = subprocess.Popen([*command, "-i", url, "-f", "null", "-"])
        try:
            with streaming(running):
                eventually(lambda: '"protocol": "rtsp"' in running.log.read_text(), "two viewers")
                running.stop()
        finally:
            player.kill()
            player.wait()
        lines = [json.loads(line) for line in running.log.read_text().splitlines() if '"viewer ' in line]
    # What comes before the first picture may have had another size, at whose end `stream.mp4` ended.
    left = [line for line in lines if line["event"] == "viewer left" and "pixels" not in line["reason"]]
    assert sorted((line["protocol"], line["viewer"], line["client"], line["reason"]) for line in left) == [
        ("mp4", "guard", "127.0.0.1", "server stopping"),
        ("rtsp", "guard", "127.0.0.1", "server stopping"),
    ]
    assert all(line["seconds"] > 0 for line in left)
