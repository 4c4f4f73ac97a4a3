"""WHEP players that others wrote: one on a page of another origin in a real Chromium, one on GStreamer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from faceanond.access import Access
from faceanond.config.load import parse
from faceanond.config.model import Http
from faceanond.publish.webrtc.service import WhepService
from faceanond.web.app import build
from faceanond.web.server import serving
from tests.conftest import need_tool
from tests.e2e.browser import QUIET
from tests.publish.webrtc.feed import live
from tests.waiting import until
from tests.web import eyevinn
from tests.web.standin import Camera, Cameras, Pulse, exposition

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

SYSTEM_PYTHON = "/usr/bin/python3"
GSTREAMER = Path(__file__).with_name("gst_whep.py")
TOKEN = "token-of-the-partner"
VIEWERS = f'[viewers.partner]\ntoken = "{TOKEN}"\ncameras = ["lobby"]'
PLAY = """
async ([url, token]) => {
    const video = document.getElementById("video");
    window.player = new WebRTCPlayer({ video, type: "whep", iceServers: [] });
    window.trouble = [];
    // What a browser keeps from a page it does not tell the page either, which this player does not expect.
    addEventListener("unhandledrejection", () => trouble.push("kept away"));
    for (const kind of ["initial-connection-failed", "connect-error"]) player.on(kind, () => trouble.push(kind));
    await player.load(new URL(url), token);
}
"""
FRAMES = "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return eyevinn.bundle(tmp_path_factory.mktemp("eyevinn"))


@contextlib.asynccontextmanager
async def cameras(*origins: str) -> AsyncIterator[tuple[str, WhepService]]:
    """The address of our cameras, and who serves them."""
    fleet = Cameras(Camera("lobby"), Camera("yard"))
    settings = Http(listen=("127.0.0.1", 0), allowed_origins=origins)
    access = Access(parse(VIEWERS, "c.toml").viewers)
    async with live(*fleet.by_name) as (service, _):
        app = build(fleet, service, Pulse(), exposition, settings, access=access)
        async with serving(app, settings) as (host, port):
            yield f"http://{host}:{port}", service


@contextlib.asynccontextmanager
async def partner(script: bytes, *, allowed: bool) -> AsyncIterator[tuple[Page, str, WhepService]]:
    """A page of another origin with the player, the address of our cameras, and who serves them."""
    async with (
        eyevinn.page_of_another_origin(script) as page_url,
        cameras(*((page_url.rstrip("/"),) if allowed else ())) as (url, service),
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=need_tool("chromium"), args=QUIET) as browser,
    ):
        page = await browser.new_page()
        await page.goto(page_url)
        yield page, url, service


async def test_it_plays_with_a_token_and_ends_its_session(script: bytes, tmp_path: Path) -> None:
    async with partner(script, allowed=True) as (page, url, service):
        await page.evaluate(PLAY, [f"{url}/whep/lobby", f"Bearer {TOKEN}"])
        await page.wait_for_function(f"() => {FRAMES} > 20")
        (session,) = service._sessions.values()
        assert (session.camera, session.owner) == ("lobby", "partner")
        await page.screenshot(path=str(tmp_path / "eyevinn.png"))
        await page.evaluate("() => player.unload()")
        await until(lambda: not service.sessions)


@pytest.mark.parametrize(
    ("allowed", "camera", "token"),
    [
        (True, "lobby", "Bearer a-wrong-token-of-16"),
        (True, "yard", f"Bearer {TOKEN}"),
        (False, "lobby", f"Bearer {TOKEN}"),
    ],
    ids=["a wrong token", "a camera of others", "an origin that is not allowed"],
)
async def test_it_gets_nothing_with(script: bytes, allowed: bool, camera: str, token: str) -> None:
    async with partner(script, allowed=allowed) as (page, url, service):
        await page.evaluate(PLAY, [f"{url}/whep/{camera}", token])
        await page.wait_for_function("() => trouble.length > 0")
        assert await page.evaluate(FRAMES) == 0
        assert not service.sessions


async def test_gstreamer_plays_and_sends_its_candidates_after_its_offer() -> None:
    need_gstreamer()
    async with cameras() as (url, service):
        player = await asyncio.create_subprocess_exec(
            SYSTEM_PYTHON, str(GSTREAMER), f"{url}/whep/lobby", TOKEN, "25", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await player.communicate()
        told = json.loads(output)
        assert player.returncode == 0, told
        assert told["frames"] >= 25
        assert (told["post"], told["delete"], told["size"]) == (201, 200, [320, 180])
        assert told["patch"]
        assert set(told["patch"]) == {204}
        await until(lambda: not service.sessions)


def need_gstreamer() -> None:
    need_tool("gst-inspect-1.0")
    bindings = "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import GstWebRTC"
    for command in (
        ["gst-inspect-1.0", "webrtcbin"],
        ["gst-inspect-1.0", "nicesink"],
        [SYSTEM_PYTHON, "-c", bindings],
    ):
        if subprocess.run(command, capture_output=True, timeout=30, check=False).returncode != 0:
            message = "GStreamer lacks WebRTC, libnice or its bindings (.ci/run names the packages)"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
