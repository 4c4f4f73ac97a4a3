"""The pages in a real Chromium where viewers must log in, fed by real H.264."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, HttpCredentials, Page, async_playwright

from faceanond.access import Access
from faceanond.clock import SystemClock
from faceanond.config.load import parse
from faceanond.config.model import Http
from faceanond.publish.webrtc.service import WhepService
from faceanond.shares import Shares
from faceanond.web.app import build
from faceanond.web.server import serving
from tests.conftest import need_tool
from tests.e2e.browser import QUIET
from tests.publish.webrtc.feed import live
from tests.waiting import until
from tests.web.site import DEAF
from tests.web.standin import Camera, Cameras, Pulse, exposition
from tests.web.strict_proxy import strict_proxy

pytestmark = pytest.mark.e2e

FRAMES = "[...document.querySelectorAll('video')].map((video) => video.getVideoPlaybackQuality().totalVideoFrames)"


class House:
    """Two cameras, a guard who may see one of them, and a browser. `port` stays the same when it opens again."""

    def __init__(self, browser: Browser, service: WhepService, fleet: Cameras) -> None:
        self.service = service
        self._browser = browser
        self._fleet = fleet
        self.port = 0

    @contextlib.asynccontextmanager
    async def opened(self, password: str, rights: str = 'cameras = ["lobby"]') -> AsyncIterator[None]:
        settings = Http(listen=("127.0.0.1", self.port))
        viewers = parse(f'[viewers.guard]\npassword = "{password}"\n{rights}', "c.toml").viewers
        shares = Shares(viewers, clock=SystemClock())
        self.service._shares = shares
        app = build(self._fleet, self.service, Pulse(), exposition, settings, access=Access(viewers), shares=shares)
        async with serving(app, settings) as (_, self.port):
            yield

    async def page(self, password: str | None = None) -> Page:
        """A window whose user types that password when asked."""
        login: HttpCredentials | None = None if password is None else {"username": "guard", "password": password}
        context = await self._browser.new_context(http_credentials=login)
        return await context.new_page()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.asynccontextmanager
async def house() -> AsyncIterator[House]:
    fleet = Cameras(Camera("lobby"), Camera("yard"))
    async with (
        live(*fleet.by_name) as (service, streams),
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=need_tool("chromium"), args=QUIET) as browser,
    ):
        fleet.streams.update(streams)
        yield House(browser, service, fleet)


async def plays(page: Page) -> list[int]:
    await page.wait_for_function(f"() => {FRAMES}.length && {FRAMES}.every((count) => count > 5)")
    counts: list[int] = await page.evaluate(FRAMES)
    return counts


@pytest.mark.parametrize("path", ["/", "/cameras/lobby"])
async def test_a_viewer_who_logs_in_sees_its_own_camera_play(path: str, tmp_path: Path) -> None:
    async with house() as place, place.opened("guards-password"):
        page = await place.page("guards-password")
        await page.goto(place.url(path))
        assert len(await plays(page)) == 1
        assert await page.locator("[data-camera=lobby]").count() == 1
        assert await page.locator("[data-camera=yard]").count() == 0
        (session,) = place.service._sessions.values()
        assert session.owner == "guard"
        await page.screenshot(path=str(tmp_path / "guard.png"))
        await page.goto("about:blank")
        await until(lambda: not place.service.sessions)


@pytest.mark.parametrize("path", ["/", "/cameras/lobby"])
async def test_a_display_on_a_wall_logs_in_by_its_address(path: str) -> None:
    """There the browser's own memory of passwords is at work, which goes by folders, and nobody answers a question."""
    async with house() as place, place.opened("guards-password"):
        page = await place.page()
        await page.goto(place.url(path).replace("//", "//guard:guards-password@", 1))
        assert len(await plays(page)) == 1
        await page.goto("about:blank")
        await until(lambda: not place.service.sessions)


@pytest.mark.parametrize("path", ["/", "/cameras/lobby"])
async def test_video_over_http_is_given_to_the_viewer_who_logged_in_as_well(path: str) -> None:
    """Browsers log in to WebSockets by themselves."""
    async with house() as place, place.opened("guards-password"):
        page = await place.page("guards-password")
        await page.add_init_script("delete window.RTCPeerConnection")
        await page.goto(place.url(path))
        await plays(page)
        await page.get_by_text("over HTTP").wait_for()
        assert not place.service.sessions


@pytest.mark.parametrize("in_address", [False, True])
async def test_video_as_an_endless_answer_is_given_to_the_viewer_who_logged_in_as_well(in_address: bool) -> None:
    async with (
        house() as place,
        place.opened("guards-password"),
        strict_proxy(place.url("").rstrip("/")) as (proxy, url),
    ):
        page = await place.page(None if in_address else "guards-password")
        await page.add_init_script("delete window.RTCPeerConnection")
        await page.goto(url.replace("//", "//guard:guards-password@", 1) if in_address else url)
        await plays(page)
        await page.get_by_text("over HTTP without WebSockets").wait_for()
        assert "/cameras/lobby/stream.mp4" in proxy.streaming
        assert not place.service.sessions


@pytest.mark.parametrize("script", ["", "delete window.RTCPeerConnection"], ids=["webrtc", "http"])
async def test_a_viewer_with_a_share_of_one_sees_one_camera_and_why_the_other_stays_dark(script: str) -> None:
    async with house() as place, place.opened("guards-password", "max_streams = 1"):
        page = await place.page("guards-password")
        await page.add_init_script(script)
        await page.goto(place.url())
        await page.get_by_text("Watching 1 of 1 streams (viewers.guard.max_streams).").wait_for()
        await page.wait_for_function(f"() => {FRAMES}.filter((count) => count > 5).length === 1")


async def test_a_viewer_with_a_full_share_returns_to_webrtc_as_well() -> None:
    """There is no room to try it behind the picture."""
    async with house() as place, place.opened("guards-password", 'cameras = ["lobby"]\nmax_streams = 1'):
        page = await place.page("guards-password")
        await page.add_init_script(DEAF)
        await page.goto(place.url())
        await page.get_by_text("over HTTP").wait_for()
        await page.evaluate("window.hears = true; dispatchEvent(new Event('online'))")
        await page.wait_for_function(
            "() => document.querySelector('.tile[data-playing]') && !document.querySelector('.route').textContent"
        )
        assert place.service.sessions == 1


async def test_nobody_else_sees_anything() -> None:
    async with house() as place, place.opened("guards-password"):
        page = await place.page("a guess")
        for path in ("/", "/cameras/lobby", "/cameras/lobby/snapshot.jpg"):
            response = await page.goto(place.url(path))
            assert response is not None
            assert response.status == 401
        page = await place.page("guards-password")
        response = await page.goto(place.url("/cameras/yard"))
        assert response is not None
        assert response.status == 404
        assert not place.service.sessions


async def test_a_page_left_open_while_the_password_changes_says_so_and_stops_asking(tmp_path: Path) -> None:
    async with house() as place:
        async with place.opened("guards-password"):
            page = await place.page("guards-password")
            await page.goto(place.url())
            await plays(page)
        asked: list[str] = []
        async with place.opened("another-password"):
            await page.get_by_text("You are not logged in any more").wait_for()
            assert await page.locator("video").count() == 0
            await until(lambda: not place.service.sessions)
            page.on("request", lambda request: asked.append(request.url))
            await page.wait_for_timeout(3_000)
            assert asked == [], "each further try would be a wrong login"
            await page.screenshot(path=str(tmp_path / "logged-out.png"))
            async with page.expect_navigation():
                await page.get_by_role("button", name="Log in again").click()
            assert '"status": 401' in await page.content()
