"""Part f: from the drawing of a picture to its decoded twin in Chromium, with the clock that is drawn into it.

The camera, the daemon and the browser share this machine's clock; the browser's reading of it is compared first. Each
decoded picture is drawn on a canvas and its row of blocks read. The daemon's own histogram and the browser's times of
arrival split the way into parts; what is left over is the camera's: JPEG, HTTP and the wait for the next boundary.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

from faceanond.config.model import Track
from tests.conftest import need_tool
from tests.e2e.browser import QUIET
from tests.e2e.daemon import free_port
from tests.load.clock_camera import BITS, BLOCK, CHECK, TOP
from tests.load.figures import Figure, quantile
from tests.load.servers import CAMERA, LoadError, Metrics, daemon

WATCH = 15.0
"""Seconds of pictures."""
WARM_UP = 8.0
"""Seconds before them: the browser's jitter buffer shrinks to what it needs."""
BEYOND_LOOK_AHEAD = 0.25

READ = f"""
() => {{
  const [bits, check, block, top] = [{BITS}, {CHECK}, {BLOCK}, {TOP}];
  const canvas = new OffscreenCanvas((bits + check) * block, block);
  const context = canvas.getContext("2d", {{ willReadFrequently: true }});
  const video = document.querySelector("video");
  window.seen = [];
  const look = (now, frame) => {{
    context.drawImage(video, 0, top, canvas.width, block, 0, 0, canvas.width, block);
    const pixels = context.getImageData(0, block / 2, canvas.width, 1).data;
    let value = 0, ones = 0, count = 0;
    for (let place = 0; place < bits + check; place++) {{
      const bit = pixels[4 * (place * block + block / 2)] > 127 ? 1 : 0;
      if (place < bits) {{ value = value * 2 + bit; ones += bit; }} else count = count * 2 + bit;
    }}
    window.seen.push({{
      drawn: value, good: ones === count, shown: performance.timeOrigin + frame.presentationTime,
      arrived: frame.receiveTime === undefined ? null : performance.timeOrigin + frame.receiveTime,
      decoding: frame.processingDuration ?? null,
    }});
    video.requestVideoFrameCallback(look);
  }};
  video.requestVideoFrameCallback(look);
}}
"""


async def measure(work: Path) -> list[Figure]:
    port = free_port()
    camera = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.load.clock_camera", str(port))
    try:
        source = f"http://127.0.0.1:{port}/video.mjpg"
        async with daemon(work, source) as running, _watching(running.http) as page:
            await asyncio.sleep(WARM_UP)
            before = await running.metrics()
            offset = await _clock_offset(page)
            await page.evaluate("() => { window.seen.length = 0; }")
            await asyncio.sleep(WATCH)
            seen = await page.evaluate("() => window.seen")
            return _figures(seen, offset, before, await running.metrics(), Track().look_ahead)
    finally:
        camera.terminate()
        await camera.wait()


def _figures(
    seen: list[dict[str, Any]], offset: float, before: Metrics, after: Metrics, look_ahead: float
) -> list[Figure]:
    good = [one for one in seen if one["good"]]
    if len(good) < 25:
        raise LoadError(f"only {len(good)} of {len(seen)} pictures could be read")
    whole = [_since(one["drawn"], one["shown"] - offset) for one in good]
    arrived = [one["shown"] - one["arrived"] for one in good if one["arrived"] is not None]
    means = {name: after.histogram(name).since(before.histogram(name)).mean * 1000 for name in _STAGES}
    inside = means["end_to_end_latency_seconds"]
    browser = sum(arrived) / len(arrived) if arrived else float("nan")
    detecting = _per_batch(after, before)
    mean = sum(whole) / len(whole)
    limit = 1000 * (look_ahead + BEYOND_LOOK_AHEAD)
    rest = inside - 1000 * look_ahead - detecting - means["encode_seconds"]
    return [
        Figure("f", "drawn to decoded in Chromium, median", quantile(whole, 0.5), "ms", limit),
        Figure("f", "drawn to decoded in Chromium, mean", mean, "ms"),
        Figure("f", "drawn to decoded in Chromium, p95", quantile(whole, 0.95), "ms"),
        Figure("f", "of the mean: drawn to captured (JPEG, HTTP)", mean - inside - browser, "ms"),
        Figure("f", "of the mean: look-ahead", 1000 * look_ahead, "ms"),
        Figure("f", "of the mean: wait for the detector and detection", detecting, "ms"),
        Figure("f", "of the mean: encoding", means["encode_seconds"], "ms"),
        Figure("f", "of the mean: decoding, sealing, waiting for the next picture's verdict", rest, "ms"),
        Figure("f", "of the mean: jitter buffer, decoder and screen of the browser", browser, "ms"),
        Figure("f", "pictures read", len(good)),
        Figure("f", "pictures that could not be read", len(seen) - len(good)),
    ]


_STAGES = ("end_to_end_latency_seconds", "encode_seconds", "inference_queue_wait_seconds")


def _per_batch(after: Metrics, before: Metrics) -> float:
    """Milliseconds that a picture waits for its batch, and that the batch takes."""
    total = 'stage="total"'
    batches = after.value("inference_seconds_count", total) - before.value("inference_seconds_count", total)
    seconds = after.value("inference_seconds_sum", total) - before.value("inference_seconds_sum", total)
    wait = after.histogram("inference_queue_wait_seconds").since(before.histogram("inference_queue_wait_seconds"))
    return 1000 * (wait.mean + (seconds / batches if batches else 0.0))


def _since(drawn: int, shown: float) -> float:
    """Milliseconds; the drawn time is modulo 2**BITS."""
    return (shown - drawn) % (1 << BITS)


@contextlib.asynccontextmanager
async def _watching(url: str) -> AsyncIterator[Page]:
    """The camera's page in Chromium, with the reading of blocks going on."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=need_tool("chromium"), args=QUIET)
        try:
            page = await browser.new_page(viewport={"width": 1400, "height": 900})
            await page.goto(f"{url}/cameras/{CAMERA}")
            await page.wait_for_function("() => document.querySelector('video')?.videoWidth > 0", timeout=30_000)
            await page.evaluate(READ)
            yield page
        finally:
            await browser.close()


async def _clock_offset(page: Page) -> float:
    """Milliseconds by which the browser's clock is ahead of ours, from the quickest of some questions."""
    best = (float("inf"), 0.0)
    for _ in range(20):
        asked = time.time()
        theirs = await page.evaluate("() => performance.timeOrigin + performance.now()")
        answered = time.time()
        best = min(best, (answered - asked, theirs - 500 * (asked + answered)))
    return best[1]
