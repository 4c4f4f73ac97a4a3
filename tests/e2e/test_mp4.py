"""`stream.mp4` in the players that people have, and the page where no UDP gets through."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import pwd
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need_tool
from tests.e2e.browser import wall
from tests.e2e.daemon import Daemon, daemon, eventually
from tests.e2e.firefox import firefox
from tests.e2e.netns import SERVER, lab

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

MP4 = "/cameras/hall/stream.mp4"
CAMERA = '[cameras.hall]\nsource = "demo:?size=320x240&fps=15"\n'
"""Small, so that a loaded machine keeps up with it."""
SHOWN = "(document.querySelector('video')?.getVideoPlaybackQuality().totalVideoFrames ?? 0)"
EMBED = f"""(() => {{
    const video = document.createElement("video");
    video.muted = true;
    video.src = "{MP4}";
    document.documentElement.append(video);
    video.play();
}})()"""


def configured(folder: Path) -> list[str]:
    config = folder / "config.toml"
    config.write_text(CAMERA)
    return ["run", "-c", str(config)]


def run(*command: str, timeout: float = 40, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)


def viewers(running: Daemon) -> float:
    return running.metrics("faceanond_viewers")['{camera="hall",protocol="mp4"}']


def test_every_player_plays_it_and_leaves_nothing(tmp_path: Path) -> None:
    with daemon(configured(tmp_path), tmp_path) as running:
        eventually(lambda: running.shown("hall"), "the camera is shown")
        url = running.url + MP4
        _ffmpeg_plays(url)
        _a_saved_stream_is_a_file(url, tmp_path / "saved.mp4")
        _gstreamer_plays(url)
        _vlc_plays(url, tmp_path)
        _chromium_plays(running)
        eventually(lambda: viewers(running) == 0, "all have left")


def _ffmpeg_plays(url: str) -> None:
    probed = run(need_tool("ffprobe"), "-v", "error", "-show_streams", "-of", "json", url)
    assert probed.stderr == ""
    (stream,) = json.loads(probed.stdout)["streams"]
    assert (stream["codec_name"], stream["profile"]) == ("h264", "Constrained Baseline")
    assert (stream["width"], stream["height"]) == (320, 240)
    decoding = [need_tool("ffmpeg"), "-v", "error", "-xerror", "-i", url, "-frames:v", "30", "-f", "rawvideo"]
    played = run(*decoding, "-y", "/dev/null")
    assert (played.returncode, played.stderr) == (0, "")


def _a_saved_stream_is_a_file(url: str, path: Path) -> None:
    """Its duration is the time for which it was saved, and every picture in it can be decoded."""
    saved = run(need_tool("curl"), "-s", "-m", "4", "-o", str(path), url)
    assert saved.returncode == 28, "it is endless, so curl's time is up"
    probed = run(
        need_tool("ffprobe"), "-v", "error", "-count_frames", "-show_entries", "stream=duration,nb_read_frames",
        "-of", "json", str(path),
    )  # fmt: skip
    (stream,) = json.loads(probed.stdout)["streams"]
    assert 1.5 < float(stream["duration"]) < 4.5
    assert int(stream["nb_read_frames"]) > 10


def _gstreamer_plays(url: str) -> None:
    pipeline = f"souphttpsrc location={url} ! decodebin ! videoconvert ! fakesink num-buffers=30"
    played = run(need_tool("gst-launch-1.0"), "-q", *pipeline.split())
    assert played.returncode == 0, played.stderr


def _vlc_plays(url: str, folder: Path) -> None:
    """VLC refuses to run as root; so it runs as nobody there. It writes every tenth picture that it shows."""
    home = folder / "vlc"
    home.mkdir()
    options: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        for parent in itertools.takewhile(lambda parent: parent != Path(tempfile.gettempdir()), folder.parents):
            parent.chmod(0o755)
        folder.chmod(0o755)
        options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    played = run(
        need_tool("cvlc"), "-q", "-I", "dummy", "--no-audio", "--vout=dummy", "--video-filter=scene",
        f"--scene-path={home}", "--scene-ratio=10", "--run-time=5", "--play-and-exit", url, "vlc://quit",
        env={**os.environ, "HOME": str(home)}, cwd=home, **options,
    )  # fmt: skip
    assert len(list(home.glob("scene*.png"))) >= 2, played.stderr


def _chromium_plays(running: Daemon) -> None:
    """In a <video> of a page of ours, whose policy allows it, and as a page of its own."""
    with wall(f"{running.url}/static/style.css") as page:
        page.evaluate(EMBED)
        eventually(lambda: page.evaluate(SHOWN) > 20, "Chromium plays it")
        page.goto(running.url + MP4, wait_until="commit")
        eventually(lambda: page.evaluate(SHOWN) > 20, "Chromium shows it alone")


def test_firefox_plays_it_and_the_page(tmp_path: Path) -> None:
    with daemon(configured(tmp_path), tmp_path) as running:
        eventually(lambda: running.shown("hall"), "the camera is shown")
        asyncio.run(_in_firefox(running.url))
        eventually(lambda: viewers(running) == 0, "it has left")


async def _in_firefox(url: str) -> None:
    async with firefox() as browser:
        await browser.open(f"{url}/static/style.css")
        await browser.evaluate(EMBED)
        await browser.until(f"{SHOWN} > 20")
        # Without WebRTC at all, whichever codecs this Firefox has for it.
        await browser.before_pages("() => { delete window.RTCPeerConnection; }")
        await browser.open(f"{url}/cameras/hall")
        await browser.until(f"{SHOWN} > 30")
        assert await browser.evaluate("document.querySelector('.route').textContent") == (
            "over HTTP: this browser has no WebRTC with H.264 or VP8"
        )
        assert not [error for error in browser.errors if "favicon" not in error]


def test_where_udp_is_dropped_the_page_plays_over_http(tmp_path: Path) -> None:
    with lab() as net:
        with net.server.entered():
            serving = daemon(configured(tmp_path), tmp_path, host="0.0.0.0")
            running = serving.__enter__()
        try:
            net.drop_udp()
            port = running.url.rpartition(":")[2]
            with net.viewer.entered(), wall(f"http://{SERVER}:{port}/cameras/hall") as page:
                began = time.monotonic()
                eventually(lambda: page.evaluate(SHOWN) > 0, "a picture over HTTP", 30)
                print(f"\nUDP dropped: first picture over HTTP after {time.monotonic() - began:.1f} s")
                first = page.evaluate(SHOWN)
                eventually(lambda: page.evaluate(SHOWN) > first + 30, "it goes on")
                told = page.evaluate("document.querySelector('.route').textContent")
                assert told == "over HTTP: UDP does not get through"
            assert net.dropped_udp() > 0
        finally:
            with net.server.entered():
                serving.__exit__(None, None, None)


def test_a_viewer_whose_machine_is_gone_is_freed_within_12_seconds(tmp_path: Path) -> None:
    """Its packets vanish without a word, as when its power fails."""
    with lab() as net:
        with net.server.entered():
            serving = daemon(configured(tmp_path), tmp_path, host="0.0.0.0")
            running = serving.__enter__()
        try:
            address = (SERVER, int(running.url.rpartition(":")[2]))
            with net.server.entered():
                eventually(lambda: running.shown("hall"), "the camera is shown")
            with net.viewer.entered(), socket.create_connection(address, timeout=10) as player:
                player.sendall(f"GET {MP4} HTTP/1.1\r\nHost: {SERVER}\r\n\r\n".encode())
                assert player.recv(100).startswith(b"HTTP/1.1 200")
                net.viewer.run("ip", "link", "set", "eth0", "down")
                began = time.monotonic()
                with net.server.entered():
                    assert viewers(running) == 1
                    eventually(lambda: viewers(running) == 0, "it is freed", 14)
                    assert time.monotonic() - began < 12
        finally:
            with net.server.entered():
                serving.__exit__(None, None, None)
