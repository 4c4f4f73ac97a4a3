"""The pages in a real Chromium, fed by real H.264."""

from __future__ import annotations

import pytest

from faceanond.status import CameraState, OverloadState
from tests.waiting import until
from tests.web.site import AV1_ONLY, DEAF, NO_MEDIA_SOURCE, site
from tests.web.standin import Camera

pytestmark = pytest.mark.e2e


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


async def test_a_browser_without_any_codec_of_ours_is_told_so() -> None:
    async with site(Camera("lobby")) as wall:
        await wall.page.add_init_script(AV1_ONLY + NO_MEDIA_SOURCE)
        await wall.open()
        await wall.text(".words", "This browser offers neither H.264 nor VP8")
        assert wall.service.sessions == 0


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


async def test_where_nothing_gets_through_the_page_says_so() -> None:
    async with site(Camera("lobby")) as wall:
        await wall.page.add_init_script(DEAF + NO_MEDIA_SOURCE)
        await wall.open()
        await wall.text(".words", "Video cannot get through")
        await wall.text(".hint", "webrtc.udp_ports")


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
