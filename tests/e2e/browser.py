"""A real Chromium on the wall page, asked only what a person or the browser itself could tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.conftest import need_tool

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

REMEMBER_CONNECTIONS = """
const Real = window.RTCPeerConnection;
window.connections = [];
window.RTCPeerConnection = class extends Real {
  constructor(...arguments_) { super(...arguments_); window.connections.push(this); }
};
"""

PLAYING = """
() => [...document.querySelectorAll("video")].map((video) => ({
  width: video.videoWidth, height: video.videoHeight, time: video.currentTime,
  frames: video.getVideoPlaybackQuality().totalVideoFrames,
}))
"""

DECODED = """
async () => {
  let decoded = {};
  for (const [number, connection] of window.connections.entries()) {
    for (const report of (await connection.getStats()).values()) {
      if (report.type === "inbound-rtp") decoded[number] = report.framesDecoded;
    }
  }
  return decoded;
}
"""


@contextmanager
def browser(*, size: tuple[int, int] = (1280, 900)) -> Iterator[Page]:
    """An empty page in a fresh browser."""
    with sync_playwright() as playwright:
        process = playwright.chromium.launch(executable_path=need_tool("chromium"), args=QUIET)
        try:
            yield process.new_page(viewport={"width": size[0], "height": size[1]})
        finally:
            process.close()


@contextmanager
def wall(url: str, *, size: tuple[int, int] = (1280, 900), script: str = "") -> Iterator[Page]:
    """The wall page in a fresh browser; the script runs before the page's own."""
    with browser(size=size) as page:
        page.add_init_script(REMEMBER_CONNECTIONS + script)
        page.goto(url)
        yield page


def decoded(page: Page) -> dict[str, int]:
    """framesDecoded of every peer connection that ever received video, by its number."""
    return dict(page.evaluate(DECODED))


def screenshot(page: Page, path: Path) -> None:
    page.screenshot(path=str(path))
