"""Debian's Firefox on the live wall. Which codec it plays is its own affair (without Cisco's plug-in: VP8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.daemon import daemon
from tests.e2e.firefox import firefox

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

REMEMBER = """() => {
    const Real = window.RTCPeerConnection;
    window.connections = [];
    window.RTCPeerConnection = class extends Real {
        constructor(...options) { super(...options); window.connections.push(this); }
    };
}"""
DECODED = """
Promise.all(window.connections.map(async (connection) => {
    const reports = [...(await connection.getStats()).values()];
    const video = reports.find((report) => report.type === "inbound-rtp");
    const codec = reports.find((report) => report.type === "codec" && report.id === video?.codecId);
    return { frames: video?.framesDecoded ?? 0, codec: codec?.mimeType ?? "" };
})).then((all) => (all.length === 1 && all[0].frames > %d ? all[0] : null))
"""
CONFIG = """
[viewers.guard]
password = "guards-password"
cameras = ["lobby"]
[cameras.lobby]
source = "demo:"
[cameras.yard]
source = "demo:"
"""


async def test_firefox_plays_the_camera_of_the_viewer_who_logs_in(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    with daemon(["run", "-c", str(config)], tmp_path) as running:
        async with firefox() as browser:
            await browser.before_pages(REMEMBER)
            await browser.resize(1280, 800)
            await browser.open(running.url.replace("//", "//guard:guards-password@"))
            first = await browser.until(DECODED % 0, seconds=40)
            later = await browser.until(DECODED % (first["frames"] + 5), seconds=40)
            assert later["codec"] in ("video/VP8", "video/H264")
            shown = await browser.evaluate("[...document.querySelectorAll('.tile')].map((tile) => tile.dataset.camera)")
            assert shown == ["lobby"]
            assert await browser.evaluate("document.querySelector('video').videoWidth") == 1280
            (tmp_path / "firefox.png").write_bytes(await browser.screenshot())
            assert browser.errors == []
        assert running.stop() == 0
