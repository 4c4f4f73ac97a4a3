"""A WHEP player that others wrote, on a page of another origin, in a real Chromium."""

from __future__ import annotations

import contextlib
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
from tests.publish.webrtc.feed import live, until
from tests.web import eyevinn
from tests.web.standin import Camera, Cameras, Pulse, exposition

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

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
async def partner(script: bytes, *, allowed: bool) -> AsyncIterator[tuple[Page, str, WhepService]]:
    """A page of another origin with the player, the address of our cameras, and who serves them."""
    fleet = Cameras(Camera("lobby"), Camera("yard"))
    async with eyevinn.page_of_another_origin(script) as page_url, live(*fleet.by_name) as (service, _):
        origins = (page_url.rstrip("/"),) if allowed else ()
        settings = Http(listen=("127.0.0.1", 0), allowed_origins=origins)
        access = Access(parse(VIEWERS, "c.toml").viewers)
        app = build(fleet, service, Pulse(), exposition, settings, access=access)
        async with (
            serving(app, settings) as (host, port),
            async_playwright() as playwright,
            await playwright.chromium.launch(executable_path=need_tool("chromium"), args=QUIET) as browser,
        ):
            page = await browser.new_page()
            await page.goto(page_url)
            yield page, f"http://{host}:{port}", service


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
