"""The pages in a real Chromium, fed by real H.264."""

from __future__ import annotations

import pytest
from playwright.async_api import Route

from faceanond.publish.snapshot import jpeg
from faceanond.status import CameraState, OverloadState
from tests.publish.sealed import moving
from tests.waiting import until
from tests.web.site import AV1_ONLY, DEAF, NO_MEDIA_SOURCE, quicker, site
from tests.web.standin import Camera

pytestmark = pytest.mark.e2e

PICTURE = jpeg(moving(0, width=320, height=180))


async def test_the_wall_plays_every_camera_and_keeps_playing() -> None:
    async with site(Camera("lobby", faces_current=2), Camera("yard")) as wall:
        await wall.open()
        first = await wall.frames()
        later = await wall.frames(max(first) + 20)
        assert len(later) == 2
        await wall.text("#summary", "2 of 2 cameras live")
        await wall.text("[data-camera=lobby] .figures", "1280×720 · 25 fps · 2 faces")
        assert wall.service.sessions == 2
        assert wall.errors == []


async def test_one_camera_has_a_page_of_its_own() -> None:
    async with site(Camera("lobby"), Camera("yard")) as wall:
        await wall.open()
        await wall.page.click("[data-camera=yard] .screen")
        await wall.page.wait_for_url("**/cameras/yard")
        assert len(await wall.frames(5)) == 1
        assert wall.streams["yard"].viewers() == {"webrtc": 1}
        assert await wall.page.title() == "yard · faceanond"


async def test_leaving_the_page_ends_its_sessions_at_once() -> None:
    async with site(Camera("lobby")) as wall:
        await wall.open()
        await wall.frames()
        await wall.page.goto("about:blank")
        await until(lambda: not wall.service.sessions)


async def test_a_lost_session_is_joined_again_by_itself() -> None:
    async with site(Camera("lobby")) as wall:
        await wall.open()
        await wall.frames(5)
        (session,) = wall.service._sessions
        await wall.service.end(session)
        await wall.page.wait_for_function("() => document.querySelector('.tile:not([data-playing])')")
        await wall.page.wait_for_function("() => document.querySelector('.tile[data-playing]')")
        assert session not in wall.service._sessions


async def test_the_badge_says_what_is_wrong() -> None:
    lobby, yard = Camera("lobby"), Camera("yard", state=CameraState.DISABLED, width=0, height=0)
    async with site(lobby, yard) as wall:
        await wall.open()
        await wall.text("[data-camera=lobby] .state", "Live")
        await wall.text("[data-camera=yard] .words", "Switched off")
        lobby.become(fail_closed="detector_timeout")
        await wall.text("[data-camera=lobby] .detail", "detector timeout")
        await wall.text("[data-camera=lobby] .state", "Concealed")
        lobby.become(fail_closed=None, overload=OverloadState.REDUCED)
        await wall.text("[data-camera=lobby] .detail", "overloaded")
        lobby.become(state=CameraState.RETRYING, fail_closed=None, retry_in=6.2, last_error="connection <b>refused</b>")
        await wall.text("[data-camera=lobby] .state", "Retrying in 7 s")
        await wall.text("[data-camera=lobby] .detail", "connection <b>refused</b>")
        await wall.text("#summary", "0 of 2 cameras live")


async def test_only_tiles_in_sight_play() -> None:
    cameras = [Camera(f"cam-{number}") for number in range(8)]
    async with site(*cameras) as wall:
        await wall.page.set_viewport_size({"width": 320, "height": 480})
        await wall.open()
        await wall.page.wait_for_function("() => document.querySelector('.tile[data-playing]')")
        assert wall.service.sessions < len(cameras)
        await wall.page.evaluate("document.querySelector('[data-camera=cam-7]').scrollIntoView()")
        await wall.page.wait_for_function("() => document.querySelector('[data-camera=cam-7][data-playing]')")


async def test_a_browser_without_our_codecs_in_webrtc_plays_over_http() -> None:
    async with site(Camera("lobby")) as wall:
        await wall.page.add_init_script(AV1_ONLY)
        await wall.open()
        await wall.frames(30)
        await wall.text(".route", "over HTTP: this browser has no WebRTC with H.264 or VP8")
        assert wall.service.sessions == 0
        assert wall.errors == []


async def test_a_browser_without_any_codec_of_ours_shows_single_pictures() -> None:
    async with site(Camera("lobby", picture=PICTURE)) as wall:
        await wall.page.add_init_script(AV1_ONLY + NO_MEDIA_SOURCE)
        await wall.open()
        await wall.text(
            ".route", "single pictures: this browser has no WebRTC with H.264 or VP8, and this browser plays"
        )
        assert await wall.page.locator(".tile[data-playing] canvas:not([hidden])").count() == 1
        assert wall.service.sessions == 0
        assert wall.errors == []


async def test_where_udp_is_blocked_the_page_plays_over_http_and_says_so() -> None:
    async with site(Camera("lobby"), Camera("yard")) as wall:
        await wall.page.add_init_script(DEAF)
        await wall.open()
        first = await wall.frames()
        await wall.frames(max(first) + 20)
        await wall.text("[data-camera=lobby] .route", "over HTTP: UDP does not get through")
        assert wall.streams["yard"].viewers()["mp4"] == 1
        await until(lambda: not wall.service.sessions)
        assert wall.errors == []


async def test_what_one_tile_has_found_out_no_other_tries() -> None:
    cameras = [Camera(f"cam-{number}") for number in range(10)]
    async with site(*cameras) as wall:
        await wall.page.set_viewport_size({"width": 1280, "height": 1600})
        await wall.page.add_init_script(DEAF)
        await wall.open()
        await wall.frames(5)
        assert await wall.page.evaluate("window.answers") == 4, "as many handshakes as are made at a time"
        # Ten endless answers would have taken the six connections that a browser opens to a host.
        await wall.page.evaluate("fetch('/api/version').then((answer) => answer.json())")


async def test_when_webrtc_gets_through_again_the_page_returns_to_it() -> None:
    async with site(Camera("lobby"), Camera("yard")) as wall:
        await wall.page.add_init_script(DEAF)
        await wall.open()
        await wall.frames()
        await wall.page.evaluate("window.hears = true; dispatchEvent(new Event('online'))")
        await wall.page.wait_for_function(
            "() => [...document.querySelectorAll('.route')].every((one) => !one.textContent)"
        )
        await until(lambda: wall.streams["yard"].viewers() == {"mp4": 0, "webrtc": 1})
        await wall.page.wait_for_function("() => document.querySelectorAll('.tile[data-playing]').length === 2")
        assert wall.errors == []


async def test_where_no_video_gets_through_the_page_shows_single_pictures() -> None:
    async with site(Camera("lobby", picture=PICTURE)) as wall:
        await wall.page.add_init_script(DEAF + NO_MEDIA_SOURCE)
        await wall.open()
        await wall.text(
            ".route", "single pictures: UDP does not get through, and this browser plays no video over HTTP"
        )
        assert await wall.page.locator(".tile[data-playing] canvas:not([hidden])").count() == 1
        await wall.page.evaluate("window.hears = true; dispatchEvent(new Event('online'))")
        await wall.frames(5)
        assert await wall.page.locator("canvas:not([hidden])").count() == 0
        assert wall.errors == []


async def test_an_offer_that_is_not_answered_is_made_again() -> None:
    async with site(Camera("lobby")) as wall:
        await wall.page.add_init_script(quicker({15_000: 1_000}))
        await wall.page.route("**/whep/*", lambda route: None)
        await wall.open()
        await wall.text(".words", "The server does not answer")
        await wall.page.unroute("**/whep/*")
        await wall.frames(5)


async def test_an_answer_that_makes_no_sense_is_borne_and_not_asked_for_at_once() -> None:
    async with site(Camera("lobby")) as wall:
        asked: list[str] = []

        async def answer(route: Route) -> None:
            asked.append(route.request.url)
            await route.fulfill(status=503, headers={"Retry-After": "2500000"}, json={"detail": 5})

        await wall.page.route("**/whep/*", answer)
        await wall.open()
        await wall.text(".words", "No free place to watch")
        await wall.page.wait_for_timeout(2_500)
        assert len(asked) == 1


async def test_a_connection_that_brings_no_picture_is_no_reason_to_leave_one_that_does() -> None:
    """Where only small packets pass, WebRTC connects, and that is all."""
    async with site(Camera("lobby")) as wall:
        await wall.page.add_init_script(DEAF)
        await wall.open()
        await wall.frames(5)
        await wall.page.evaluate("""(() => {
            RTCRtpReceiver.prototype.getStats = async () => new Map();
            window.changes = 0;
            const tile = document.querySelector(".tile");
            new MutationObserver(() => (window.changes += 1)).observe(tile, { attributeFilter: ["data-playing"] });
            window.hears = true;
            dispatchEvent(new Event("online"));
        })()""")
        await until(lambda: wall.service.sessions)
        await until(lambda: not wall.service.sessions)
        assert await wall.page.evaluate("window.changes") == 0
        await wall.text(".route", "over HTTP: UDP does not get through")


async def test_the_newest_picture_is_shown_and_the_past_forgotten() -> None:
    """After a quarter of a minute, as after a day."""
    async with site(Camera("lobby")) as wall:
        await wall.page.add_init_script(AV1_ONLY)
        await wall.open()
        await wall.frames(15 * 25)
        first, newest, now = await wall.page.evaluate("""(() => {
            const video = document.querySelector("video");
            const { buffered } = video;
            return [buffered.start(0), buffered.end(buffered.length - 1), video.currentTime];
        })()""")
        assert newest - now < 0.5 + 0.5, "the last picture holds for half a second"
        assert now - first < 13


async def test_a_full_server_is_told_in_words() -> None:
    async with site(Camera("lobby")) as wall:
        wall.service._most = 0
        await wall.open()
        await wall.text(".words", "No free place to watch")
