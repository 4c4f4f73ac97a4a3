"""The page in a real Chromium where neither UDP nor WebSockets get through, behind a real proxy that is like that."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page

from faceanond.publish.snapshot import jpeg
from faceanond.publish.stream import Stream
from tests.publish.sealed import moving
from tests.publish.webrtc.feed import Pattern
from tests.waiting import until
from tests.web.site import AV1_ONLY, DEAF, Site, quicker, site
from tests.web.standin import Camera
from tests.web.strict_proxy import StrictProxy, strict_proxy

pytestmark = pytest.mark.e2e

STREAMED = "over HTTP without WebSockets"
NO_LOCKS = "delete Navigator.prototype.locks;"
LOCKS_DENIED = "LockManager.prototype.request = () => Promise.reject(new DOMException('denied', 'SecurityError'));"
MULTIPLEXED = "performance.getEntriesByType = () => [{nextHopProtocol: 'h2'}];"
ROUTES = "[...document.querySelectorAll('.route')].map((route) => route.textContent)"


class Watched(Camera):
    """A camera whose snapshot is another one each time."""

    def __init__(self, name: str) -> None:
        super().__init__(name, picture=jpeg(moving(0, width=320, height=180)))

    def snapshot_tag(self) -> str | None:
        return f"{self.made}-x"


@contextlib.asynccontextmanager
async def office(*names: str, script: str = DEAF, max_streams: int = 100) -> AsyncIterator[tuple[Site, StrictProxy]]:
    """The site as it is seen from behind the proxy."""
    cameras = [Watched(name) for name in names]
    async with site(*cameras, max_streams=max_streams) as wall, strict_proxy(wall.url) as (proxy, url):
        wall.url = url
        await wall.page.add_init_script(script)
        yield wall, proxy


def resize(stream: Stream, width: int, height: int) -> None:
    """From now on the stream's pictures have that size."""
    write, other = stream.write, Pattern(width, height)
    stream.write = lambda packet: write(other.packet(packet.keyframe, packet.captured))  # type: ignore[method-assign]


def streamed(proxy: StrictProxy) -> int:
    return sum(path.endswith("stream.mp4") for path in proxy.streaming)


async def routes(page: Page, *, streams: int, stills: int) -> None:
    """Waits until so many tiles say that they play that way."""
    await page.wait_for_function(
        f"([streams, stills]) => {{ const all = {ROUTES}; const count = (words) =>"
        " all.filter((one) => one.startsWith(words)).length;"
        f" return count('{STREAMED}') === streams && count('single pictures') === stills }}",
        arg=[streams, stills],
    )


async def test_it_plays_an_endless_answer_and_says_so() -> None:
    async with office("lobby") as (wall, proxy):
        await wall.open()
        (first,) = await wall.frames()
        await wall.frames(first + 40)
        await wall.text(".route", f"{STREAMED}: UDP does not get through")
        assert proxy.refused == 1
        assert wall.streams["lobby"].viewers()["mp4"] == 1
        newest, now = await wall.page.evaluate("""(() => {
            const video = document.querySelector("video");
            return [video.buffered.end(video.buffered.length - 1), video.currentTime];
        })()""")
        assert newest - now < 1.0, "it is live"
        await wall.page.goto("about:blank")
        await until(lambda: not wall.streams["lobby"].viewers()["mp4"])


async def test_more_cameras_than_connections_are_shown_by_single_pictures_and_nothing_hangs() -> None:
    async with office("a", "b", "c", "d", "e", "f", "g", "h") as (wall, proxy):
        await wall.page.set_viewport_size({"width": 1280, "height": 1200})
        await wall.open()
        await routes(wall.page, streams=3, stills=5)
        assert streamed(proxy) == 3
        await wall.page.evaluate("fetch('/api/version').then((answer) => answer.json())")
        stills = [camera for camera in wall.cameras.by_name.values() if camera.made]
        assert len(stills) == 5
        before = [camera.made for camera in stills]
        await until(lambda: all(camera.made > count + 2 for camera, count in zip(stills, before, strict=True)))
        assert await wall.page.locator("canvas:not([hidden])").count() == 5
        assert await wall.page.locator(".tile[data-playing]").count() == 8
        await wall.text(".tile:has(canvas:not([hidden])) .route", "no connection is free for video")


async def test_a_place_that_becomes_free_is_taken_by_the_next_tile() -> None:
    async with office("a", "b", "c", "d") as (wall, proxy):
        await wall.open()
        await routes(wall.page, streams=3, stills=1)
        playing = next(path for path in proxy.streaming if path.endswith("stream.mp4"))
        del wall.cameras.by_name[playing.split("/")[2]]
        await wall.page.wait_for_function("() => document.querySelectorAll('.tile').length === 3")
        await routes(wall.page, streams=3, stills=0)
        assert await wall.page.locator("canvas:not([hidden])").count() == 0


async def test_windows_of_one_browser_share_the_connections() -> None:
    async with office("a", "b") as (wall, proxy):
        await wall.open()
        await routes(wall.page, streams=2, stills=0)
        other = await wall.page.context.new_page()
        await other.add_init_script(DEAF)
        await other.goto(wall.url)
        await routes(other, streams=1, stills=1)
        assert streamed(proxy) == 3
        await wall.page.close()
        await routes(other, streams=2, stills=0)


async def test_where_windows_cannot_agree_each_keeps_to_two_connections() -> None:
    async with office("a", "b", "c", script=DEAF + NO_LOCKS) as (wall, _):
        await wall.open()
        await routes(wall.page, streams=2, stills=1)


async def test_where_locks_are_denied_each_window_keeps_to_two_connections() -> None:
    """As in a browser that blocks all cookies."""
    async with office("a", "b", "c", script=DEAF + LOCKS_DENIED) as (wall, _):
        await wall.open()
        await routes(wall.page, streams=2, stills=1)


async def test_pictures_of_another_size_come_by_another_answer() -> None:
    async with office("lobby") as (wall, proxy):
        await wall.open()
        await routes(wall.page, streams=1, stills=0)
        resize(wall.streams["lobby"], 160, 120)
        await wall.page.wait_for_function("() => document.querySelector('video').videoWidth === 160")
        await routes(wall.page, streams=1, stills=0)
        assert proxy.asked.count("GET /cameras/lobby/stream.mp4") == 2


async def test_over_http_2_every_camera_plays() -> None:
    async with office("a", "b", "c", "d", script=DEAF + MULTIPLEXED) as (wall, _):
        await wall.open()
        await routes(wall.page, streams=4, stills=0)


async def test_where_endless_answers_are_held_back_the_page_shows_single_pictures() -> None:
    async with office("lobby") as (wall, proxy):
        proxy.holds_back = True
        await wall.open()
        await wall.text(".route", "single pictures: something between here and the server holds the video back")
        assert await wall.page.locator("canvas:not([hidden])").count() == 1
        await until(lambda: not streamed(proxy))
        proxy.holds_back = False
        await wall.page.evaluate("dispatchEvent(new Event('online'))")
        await routes(wall.page, streams=1, stills=0)


async def test_when_websockets_get_through_again_the_page_returns_to_them() -> None:
    async with office("a", "b", "c", "d") as (wall, proxy):
        await wall.open()
        await routes(wall.page, streams=3, stills=1)
        refused = proxy.refused
        await wall.page.evaluate("dispatchEvent(new Event('online'))")
        await until(lambda: proxy.refused > refused)
        await routes(wall.page, streams=3, stills=1)
        assert proxy.refused == refused + 1, "one tries for all, behind its picture"
        proxy.lets_sockets_through = True
        await wall.page.evaluate("dispatchEvent(new Event('online'))")
        await wall.page.wait_for_function(f"() => {ROUTES}.every((one) => one.startsWith('over HTTP: UDP'))")
        await until(lambda: not streamed(proxy))
        assert await wall.page.locator("canvas:not([hidden])").count() == 0


async def test_when_webrtc_gets_through_again_the_page_returns_to_it() -> None:
    async with office("a", "b") as (wall, _):
        await wall.open()
        await routes(wall.page, streams=2, stills=0)
        await wall.page.evaluate("window.hears = true; dispatchEvent(new Event('online'))")
        await wall.page.wait_for_function(f"() => {ROUTES}.every((one) => !one)")
        await until(lambda: wall.streams["b"].viewers() == {"mp4": 0, "webrtc": 1})


async def test_an_answer_of_the_server_is_told_and_is_no_reason_for_a_detour() -> None:
    async with site(Watched("lobby")) as wall:
        stream = wall.cameras.streams.pop("lobby")
        await wall.page.add_init_script(AV1_ONLY)
        await wall.open()
        await wall.text(".words", "No video now")
        await wall.text(".hint", "has not started")
        wall.cameras.streams["lobby"] = stream
        await wall.frames()
        await wall.text(".route", "over HTTP: this browser has no WebRTC")


async def test_a_full_server_is_told_in_words() -> None:
    async with office("a", "b", max_streams=1) as (wall, _):
        await wall.open()
        await routes(wall.page, streams=1, stills=0)
        await wall.text(".tile:not([data-playing]) .words", "No video now")
        await wall.text(".tile:not([data-playing]) .hint", "All 1 places for viewers are taken")


async def test_a_camera_that_stopped_is_not_shown_as_if_it_went_on() -> None:
    async with office("a", "b", "c", script=DEAF + NO_LOCKS) as (wall, _):
        await wall.open()
        await routes(wall.page, streams=2, stills=1)
        still = next(camera for camera in wall.cameras.by_name.values() if camera.made)
        still.snapshot_tag = lambda: "same"  # type: ignore[method-assign]
        tile = f"[data-camera={still.status_now.name}]"
        await wall.text(f"{tile} .words", "The picture stopped")
        await wall.text(f"{tile} .words", "Connecting again")
        assert await wall.page.locator(f"{tile}[data-playing]").count() == 0


async def test_a_picture_that_waits_for_the_next_one_is_not_shown_for_long() -> None:
    """One tile gets no answer, the other one does not even get its turn to ask."""
    script = DEAF + NO_LOCKS + quicker({30_000: 3_000, 15_000: 10_000})
    async with office("a", "b", "c", "d", script=script) as (wall, _):
        await wall.open()
        await routes(wall.page, streams=2, stills=2)
        await wall.page.route("**/snapshot.jpg", lambda route: None)
        await wall.page.wait_for_function(
            "() => document.querySelectorAll('.tile[data-playing]').length === 2", timeout=9_000
        )
        assert await wall.page.locator("canvas:not([hidden])").count() == 0
        await wall.page.get_by_text("Waiting for a picture").first.wait_for()
        await wall.page.unroute("**/snapshot.jpg")
        await routes(wall.page, streams=2, stills=2)
