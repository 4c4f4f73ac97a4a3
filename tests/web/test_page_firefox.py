"""The page in Debian's Firefox, where neither UDP nor WebSockets get through, and the recordings in it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from faceanond.publish.record.names import Name
from faceanond.publish.snapshot import jpeg
from faceanond.status import RecordState, RecordStatus
from tests.e2e.firefox import firefox
from tests.publish.record.reel import film, pieces
from tests.publish.sealed import moving
from tests.waiting import until
from tests.web.shelf import MORNING, Shelf
from tests.web.site import FRAMES, served
from tests.web.standin import Camera
from tests.web.strict_proxy import strict_proxy

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

NO_WEBRTC = "() => { delete window.RTCPeerConnection; }"
ROUTES = "[...document.querySelectorAll('.route')].map((route) => route.textContent)"


async def test_it_plays_endless_answers_and_shows_single_pictures_where_no_connection_is_left() -> None:
    picture = jpeg(moving(0, width=320, height=180))
    cameras = [Camera(name, picture=picture) for name in ("a", "b", "c", "d")]
    async with served(*cameras) as (url, _, _), strict_proxy(url) as (proxy, outside), firefox() as browser:
        await browser.before_pages(NO_WEBRTC)
        await browser.resize(1280, 900)
        await browser.open(outside)
        await browser.until(f"{ROUTES}.filter((one) => one.startsWith('over HTTP without WebSockets')).length === 3")
        await browser.until(f"{ROUTES}.filter((one) => one.startsWith('single pictures')).length === 1")
        await browser.until(f"{FRAMES}.filter((count) => count > 40).length === 3")
        assert sum(path.endswith("stream.mp4") for path in proxy.streaming) == 3
        assert await browser.evaluate("fetch('/api/version').then((answer) => answer.ok)")
        assert await browser.evaluate("document.querySelectorAll('canvas:not([hidden])').length") == 1
        await browser.open("about:blank")
        await until(lambda: not proxy.streaming)


async def test_recordings_are_listed_and_played(tmp_path: Path) -> None:
    def recorded() -> Shelf:
        head, fragments = pieces(film(2, size=(160, 120)))
        return Shelf(tmp_path, 3, head + b"".join(fragments))

    recordings = await asyncio.to_thread(recorded)
    camera = Camera("lobby", record=RecordStatus(state=RecordState.RECORDING, segments=4))
    try:
        async with served(camera, recordings=recordings) as (url, _, _), firefox() as browser:
            await browser.open(f"{url}/cameras/lobby#recordings")
            await browser.until("document.querySelectorAll('.tape').length === 4")
            await browser.evaluate("document.querySelectorAll('.tape .play')[3].click()")
            video = "document.querySelector('.playback video')"
            await browser.until(f"{video}?.currentTime > 0.3 && {video}.videoWidth === 160")
            later = Name("lobby", MORNING + 300_000).file
            await browser.until(f"{video}.currentSrc.endsWith('{later}')")
            assert browser.errors == []
    finally:
        recordings.threads.close()
