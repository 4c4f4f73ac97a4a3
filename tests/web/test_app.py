from __future__ import annotations

import pytest

from faceanond import __version__
from faceanond.status import CameraState
from tests.web.client import serving
from tests.web.standin import Camera, Pulse


@pytest.mark.parametrize("path", ["/", "/cameras/lobby"])
async def test_the_wall_and_a_single_camera_are_the_same_page(path: str) -> None:
    async with serving() as client, client.get(path) as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert "/static/app.js" in await response.text()


async def test_everything_that_the_page_loads_is_there() -> None:
    async with serving() as client:
        for name, kind in (
            ("app.js", "text/javascript"),
            ("player.js", "text/javascript"),
            ("style.css", "text/css"),
            ("icon.svg", "image/svg+xml"),
        ):
            async with client.get(f"/static/{name}") as response:
                assert (response.status, response.content_type) == (200, kind)


async def test_a_page_that_did_not_change_is_not_sent_again() -> None:
    async with serving() as client:
        async with client.get("/static/app.js") as first:
            tag = first.headers["ETag"]
            assert first.headers["Cache-Control"] == "no-cache"
        async with client.get("/static/app.js", headers={"If-None-Match": tag}) as second:
            assert second.status == 304
            assert await second.read() == b""


@pytest.mark.parametrize(
    "path",
    [
        "/cameras/attic",
        "/cameras/attic/snapshot.jpg",
        "/api/cameras/attic",
        "/static/../app.py",
        "/static/x.js",
        "/nothing",
    ],
)
async def test_what_does_not_exist_is_a_json_404(path: str) -> None:
    async with serving() as client, client.get(path) as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"
        assert (await response.json()).keys() == {"type", "title", "status", "error", "detail"}


async def test_a_wrong_method_names_the_right_ones() -> None:
    async with serving() as client, client.post("/api/cameras") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET,HEAD"
        assert (await response.json())["error"] == "method not allowed"


async def test_the_api_lists_the_cameras_in_their_order() -> None:
    async with serving(Camera("yard"), Camera("attic", state=CameraState.RETRYING, retry_in=3.04)) as client:
        async with client.get("/api/cameras") as response:
            cameras = (await response.json())["cameras"]
        assert [(camera["name"], camera["state"]) for camera in cameras] == [("yard", "live"), ("attic", "retrying")]
        async with client.get("/api/cameras/attic") as response:
            assert await response.json() == cameras[1]


async def test_the_version_names_ours_and_the_others() -> None:
    async with serving() as client, client.get("/api/version") as response:
        assert await response.json() == {"faceanond": __version__, "ffmpeg": "8.1"}


async def test_metrics_keep_their_content_type() -> None:
    async with serving() as client, client.get("/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert await response.read() == b"faceanond_up 1\n"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_is_a_status_code_with_details(path: str) -> None:
    health = Pulse()
    async with serving(health=health) as client:
        async with client.get(path) as response:
            assert response.status == 200
            assert (await response.json())["ok"] is True
        health.good = False
        async with client.get(path) as response:
            assert response.status == 503
            assert (await response.json())["ok"] is False
