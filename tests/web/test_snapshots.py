from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.conftest import FakeClock
from tests.web.client import serving
from tests.web.standin import Camera

PATH = "/cameras/lobby/snapshot.jpg"


async def test_a_snapshot_is_a_jpeg_that_has_to_be_asked_for_each_time() -> None:
    async with serving(Camera("lobby", picture=b"\xff\xd8jpeg")) as client, client.get(PATH) as response:
        assert (response.status, response.content_type) == (200, "image/jpeg")
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert response.headers["ETag"] == '"6-x"'
        assert response.headers["Last-Modified"] == "Fri, 27 Nov 2026 03:30:00 GMT"
        assert await response.read() == b"\xff\xd8jpeg"


@pytest.mark.parametrize("known", ['"6-x"', 'W/"6-x"', '"old", "6-x"', "*"])
async def test_who_has_the_picture_hears_so_and_none_is_made(known: str) -> None:
    camera = Camera("lobby", picture=b"\xff\xd8jpeg")
    async with serving(camera) as client, client.get(PATH, headers={"If-None-Match": known}) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == '"6-x"'
        assert response.headers["Cache-Control"] == "private, no-cache"
    assert camera.made == 0


async def test_who_has_an_older_picture_gets_the_new_one() -> None:
    async with serving(Camera("lobby")) as client, client.get(PATH, headers={"If-None-Match": '"6-y"'}) as response:
        assert response.status == 200


async def test_the_head_alone_says_the_same() -> None:
    async with serving(Camera("lobby", picture=b"\xff\xd8jpeg")) as client, client.head(PATH) as response:
        assert (response.status, response.headers["Content-Length"]) == (200, "6")
        assert response.headers["ETag"] == '"6-x"'
        assert await response.read() == b""


@pytest.mark.parametrize("known", [None, '"6-x"', "*"])
async def test_a_camera_without_a_picture_yet_says_when_to_come_back(known: str | None) -> None:
    headers = {} if known is None else {"If-None-Match": known}
    async with serving(Camera("lobby", picture=None)) as client, client.get(PATH, headers=headers) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        assert response.headers["Cache-Control"] == "no-store"


async def test_the_log_tells_once_in_ten_minutes_who_looks_at_snapshots(clock: FakeClock) -> None:
    cameras = Camera("lobby", picture=b"\xff\xd8jpeg"), Camera("yard", picture=b"\xff\xd8jpeg")
    with capture_logs() as told:
        async with serving(*cameras, clock=clock) as client:
            await client.head(PATH)
            assert not told
            for known in ("", "", '"6-x"'):
                await client.get(PATH, headers={"If-None-Match": known} if known else {})
            await client.get("/cameras/yard/snapshot.jpg")
            clock.move(600)
            await client.get(PATH, headers={"If-None-Match": '"6-x"'})
    assert told[0] == {
        "event": "snapshot watched",
        "log_level": "info",
        "camera": "lobby",
        "viewer": "",
        "client": "127.0.0.1",
        "protocol": "http",
    }
    assert [line["camera"] for line in told] == ["lobby", "yard", "lobby"]


async def test_who_gets_no_snapshot_has_seen_none() -> None:
    with capture_logs() as told:
        async with serving(Camera("lobby", picture=None)) as client, client.get(PATH) as response:
            assert response.status == 503
    assert not told
