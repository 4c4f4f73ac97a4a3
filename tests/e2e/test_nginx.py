"""The page behind a real nginx, set up with the lines of the guide."""

from __future__ import annotations

import base64
import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.conftest import need_tool
from tests.e2e.browser import browser
from tests.e2e.daemon import daemon, eventually, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

GUIDE = Path(__file__).parents[2] / "docs/guide/viewers.md"
CONFIG = """
[http]
allowed_origins = ["http://127.0.0.1:{port}"]
[viewers.guard]
password = "guards-password"
cameras = ["lobby"]
[cameras.lobby]
source = "demo:?size=320x240&fps=15"
"""
LOGIN = {"Authorization": "Basic " + base64.b64encode(b"guard:guards-password").decode()}
SHOWN = "(document.querySelector('video')?.getVideoPlaybackQuality().totalVideoFrames ?? 0)"
NO_WEBRTC = "delete window.RTCPeerConnection"


def lines_of_the_guide() -> tuple[str, str]:
    """What belongs into `server`, and what outside of it."""
    block = re.search(r"```nginx\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert block is not None
    inside, _, outside = block[1].partition("# and outside of `server`:\n")
    assert outside
    return inside, outside


@contextlib.contextmanager
def nginx(folder: Path, port: int, upstream: str, *, leaving_out: str = "^$") -> Iterator[None]:
    """nginx on loopback with the guide's lines, but those that `leaving_out` matches."""
    inside, outside = lines_of_the_guide()
    kept = "\n".join(line for line in inside.splitlines() if not re.search(leaving_out, line))
    assert "http://127.0.0.1:8080" in kept
    config = folder / "nginx.conf"
    config.write_text(f"""
        daemon off; pid {folder}/pid; error_log {folder}/error.log; user root;
        events {{}}
        http {{
            access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            {outside}
            server {{
                listen 127.0.0.1:{port};
                {kept.replace("http://127.0.0.1:8080", upstream)}
            }}
        }}
    """)
    process = subprocess.Popen([need_tool("nginx"), "-c", str(config), "-e", f"{folder}/error.log"])
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def behind_nginx(folder: Path, *, leaving_out: str = "^$", script: str = "") -> Iterator[Page]:
    """A browser on the wall, which the daemon shows through nginx."""
    port = free_port()
    config = folder / "config.toml"
    config.write_text(CONFIG.format(port=port))
    with (
        daemon(["run", "-c", str(config)], folder) as running,
        nginx(folder, port, running.url, leaving_out=leaving_out),
        browser() as page,
    ):
        page.set_extra_http_headers(LOGIN)
        page.add_init_script(script)
        eventually(lambda: _answers(page, f"http://127.0.0.1:{port}/"), "nginx answers")
        yield page


def _answers(page: Page, url: str) -> bool:
    try:
        return (response := page.goto(url)) is not None and response.ok
    except Exception as error:
        if "ERR_CONNECTION_REFUSED" in str(error):
            return False
        raise


def plays(page: Page) -> None:
    for _ in range(2):
        page.wait_for_function(f"before => {SHOWN} > before + 20", arg=page.evaluate(SHOWN), timeout=30_000)


def test_it_plays_over_webrtc(tmp_path: Path) -> None:
    with behind_nginx(tmp_path) as page:
        plays(page)
        assert page.locator(".route").inner_text() == ""


def test_it_plays_over_a_websocket(tmp_path: Path) -> None:
    with behind_nginx(tmp_path, script=NO_WEBRTC) as page:
        plays(page)
        assert page.locator(".route").inner_text().startswith("over HTTP:")


def test_it_plays_over_an_endless_answer_where_websockets_are_not_passed_on(tmp_path: Path) -> None:
    with behind_nginx(tmp_path, script=NO_WEBRTC, leaving_out=r"Upgrade|Connection") as page:
        plays(page)
        assert page.locator(".route").inner_text().startswith("over HTTP without WebSockets:")


def test_without_a_login_nothing_is_shown(tmp_path: Path) -> None:
    with behind_nginx(tmp_path) as page:
        page.set_extra_http_headers({})
        for path in ("", "cameras/lobby/stream.mp4", "cameras/lobby/snapshot.jpg"):
            response = page.request.get(page.url + path)
            assert response.status == 401, path
