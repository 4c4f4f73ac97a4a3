"""A real browser as the receiving end of WHIP: a small endpoint hands the daemon's offer to a page in Chromium."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright

from tests.conftest import need_tool
from tests.e2e.browser import QUIET
from tests.e2e.daemon import daemon, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

ANSWER = """
async (offer) => {
  const peer = new RTCPeerConnection();
  window.peer = peer;
  peer.ontrack = (event) => {
    const video = document.createElement("video");
    video.muted = true;
    video.srcObject = new MediaStream([event.track]);
    document.body.append(video);
    video.play();
  };
  await peer.setRemoteDescription({type: "offer", sdp: offer});
  await peer.setLocalDescription(await peer.createAnswer());
  await new Promise((done) => {
    if (peer.iceGatheringState === "complete") done();
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done();
  });
  return peer.localDescription.sdp;
}
"""
SEEN = """
async () => {
  if (!window.peer) return {};
  for (const report of (await window.peer.getStats()).values()) {
    if (report.type === "inbound-rtp") {
      return {decoded: report.framesDecoded || 0, width: report.frameWidth || 0, height: report.frameHeight || 0};
    }
  }
  return {};
}
"""


class BrowserServer:
    """A WHIP endpoint whose media end is a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.ended = 0
        self.offers = 0

    async def offer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer geheim":
            return web.Response(status=401)
        self.offers += 1
        answer = await self.page.evaluate(ANSWER, await request.text())
        headers = {"Location": "/whip/session", "ETag": '"1"'}
        return web.Response(status=201, body=answer.encode(), content_type="application/sdp", headers=headers)

    async def end(self, request: web.Request) -> web.Response:
        self.ended += 1
        return web.Response()

    async def seen(self, request: web.Request) -> web.Response:
        return web.json_response({"ended": self.ended, "offers": self.offers, **await self.page.evaluate(SEEN)})


@contextmanager
def browser_server() -> Iterator[int]:
    """Runs the endpoint and its browser on a loop of their own; yields the port."""
    chromium = need_tool("chromium")
    ready, stop, port = threading.Event(), asyncio.Event(), 0
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        nonlocal port
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=QUIET)
            server = BrowserServer(await browser.new_page())
            app = web.Application()
            app.router.add_post("/whip/{name}", server.offer)
            app.router.add_delete("/whip/session", server.end)
            app.router.add_get("/seen", server.seen)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            ready.set()
            await stop.wait()
            await runner.cleanup()
            await browser.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="browser server")
    thread.start()
    try:
        assert ready.wait(30), "the browser did not start"
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


def test_chromium_decodes_what_is_pushed_over_whip(tmp_path: Path) -> None:
    with browser_server() as port:
        config = tmp_path / "config.toml"
        config.write_text(
            f"""
[push]
url = "http://127.0.0.1:{port}/whip/{{camera}}"
token = "geheim"
[cameras.yard]
source = "demo:"
"""
        )
        with daemon(["run", "-c", str(config)], tmp_path) as running:

            def seen() -> dict[str, int]:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/seen", timeout=5) as answer:
                    return dict(json.loads(answer.read()))

            eventually(lambda: seen().get("decoded", 0) >= 25, "Chromium decodes the pictures", 40)
            camera = running.json("/api/cameras/yard")
            assert camera["push"]["state"] == "up"
            assert camera["push"]["failures"] == {}
            assert camera["output_bytes"]["push_whip"] > 0
            shown = seen()
            assert (shown["width"], shown["height"]) == (camera["width"], camera["height"])
            assert running.stop() == 0
            assert seen()["ended"] == 1
        assert "geheim" not in running.log.read_text()
