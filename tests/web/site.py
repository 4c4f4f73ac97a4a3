"""A served wall, fed by real H.264, in a real Chromium."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping

from playwright.async_api import Page, async_playwright

from faceanond.access import OPEN
from faceanond.config.model import Http
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.service import WhepService
from faceanond.web.app import build
from faceanond.web.server import serving
from faceanond.web.view import Recordings
from tests.conftest import need_tool
from tests.e2e.browser import QUIET
from tests.publish.webrtc.feed import live
from tests.web.standin import Camera, Cameras, Pulse, exposition

FRAMES = "[...document.querySelectorAll('video')].map((video) => video.getVideoPlaybackQuality().totalVideoFrames)"

DEAF = """
const original = RTCPeerConnection.prototype.setRemoteDescription;
window.answers = 0;
RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    window.answers += 1;
    if (window.hears) return original.call(this, { type, sdp });
    const alone = sdp.replace(/a=candidate.*\\r\\n/g, "");
    const deaf = alone.replace(/a=ice-pwd:.*/, "a=ice-pwd:" + "x".repeat(24));
    return original.call(this, { type, sdp: deaf });
};
"""
"""As where UDP is dropped: the viewer gets an answer without candidates, and a password that no check passes with."""
NO_MEDIA_SOURCE = "delete window.MediaSource; delete window.ManagedMediaSource;"
AV1_ONLY = "RTCRtpReceiver.getCapabilities = () => ({codecs: [{mimeType: 'video/AV1'}]});"


def quicker(timers: Mapping[int, int]) -> str:
    """A script that shortens timers: those of so many milliseconds to so many."""
    return f"""
    const later = window.setTimeout;
    const shorter = {json.dumps(timers)};
    window.setTimeout = (call, wait, ...rest) => later(call, shorter[wait] ?? wait, ...rest);
    """


class Site:
    """A served wall with its cameras, and a page open on it."""

    def __init__(
        self, page: Page, url: str, cameras: Cameras, service: WhepService, streams: dict[str, Stream]
    ) -> None:
        self.page, self.url, self.cameras, self.service, self.streams = page, url, cameras, service, streams
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    async def open(self, path: str = "/") -> None:
        await self.page.goto(self.url + path)

    async def frames(self, more_than: int = 0) -> list[int]:
        """How many pictures each video has shown, once each has shown more than that."""
        await self.page.wait_for_function(f"() => {FRAMES}.length && {FRAMES}.every((count) => count > {more_than})")
        counts: list[int] = await self.page.evaluate(FRAMES)
        return counts

    async def text(self, selector: str, expected: str) -> None:
        await self.page.wait_for_function(
            "([selector, expected]) => document.querySelector(selector)?.textContent.includes(expected)",
            arg=[selector, expected],
        )


@contextlib.asynccontextmanager
async def served(
    *cameras: Camera, recordings: Recordings | None = None, max_streams: int = 100
) -> AsyncIterator[tuple[str, Cameras, WhepService]]:
    """The wall's address, its cameras, and who watches them over WebRTC."""
    settings = Http(listen=("127.0.0.1", 0), max_streams=max_streams)
    fleet = Cameras(*cameras)
    async with live(*fleet.by_name) as (service, streams):
        fleet.streams.update(streams)
        app = build(fleet, service, Pulse(), exposition, settings, access=OPEN, recordings=recordings)
        async with serving(app, settings) as (host, port):
            yield f"http://{host}:{port}", fleet, service


@contextlib.asynccontextmanager
async def site(*cameras: Camera, recordings: Recordings | None = None, max_streams: int = 100) -> AsyncIterator[Site]:
    async with (
        served(*cameras, recordings=recordings, max_streams=max_streams) as (url, fleet, service),
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=need_tool("chromium"), args=QUIET) as browser,
    ):
        page = await (await browser.new_context()).new_page()
        yield Site(page, url, fleet, service, dict(fleet.streams))
