"""A camera whose picture tells when it was drawn, as a row of black and white blocks that survive any encoder.

    python -m tests.load.clock_camera PORT          serves JPEG pictures at /video.mjpg, 25 a second

The row holds the milliseconds since 1970, modulo 2**BITS, and the number of ones in it.
"""

from __future__ import annotations

import asyncio
import sys
import time

import cv2
import numpy as np
from aiohttp import web

from tests.load.clip import FPS, HEIGHT, WIDTH

BITS, CHECK = 27, 5
"""37 hours; five bits count up to 27 ones."""
BLOCK = WIDTH // (BITS + CHECK)
"""Pixels, both ways."""
TOP = 320


def blocks(milliseconds: int) -> list[int]:
    """The row's bits, the highest first."""
    value = milliseconds % (1 << BITS)
    word = value << CHECK | value.bit_count()
    return [word >> place & 1 for place in reversed(range(BITS + CHECK))]


class Drawing:
    """A still with a clock in it."""

    def __init__(self) -> None:
        ramp = np.linspace(50, 200, WIDTH, dtype=np.uint8)
        noise = np.random.default_rng(1).integers(0, 24, (HEIGHT, WIDTH), dtype=np.uint8)
        self._ground = cv2.merge([ramp[None, :] + noise] * 3)
        self._number = 0

    def jpeg(self) -> bytes:
        """The picture of this moment."""
        picture = self._ground.copy()
        # Something moves, so that the bit rate is that of a scene.
        left = 8 * self._number % (WIDTH - 160)
        picture[100:260, left : left + 160] = picture[400:560, :160][:, ::-1]
        self._number += 1
        row = 20 + 215 * np.array(blocks(time.time_ns() // 1_000_000), np.uint8)
        picture[TOP : TOP + BLOCK] = np.repeat(row, BLOCK)[None, :, None]
        return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


async def video(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "multipart/x-mixed-replace; boundary=frame"})
    await response.prepare(request)
    drawing, loop = Drawing(), asyncio.get_running_loop()
    due = loop.time()
    while True:
        picture = drawing.jpeg()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
        # The next boundary at once: FFmpeg gives a picture out only when it has seen it.
        try:
            await response.write(head.encode() + picture + b"\r\n")
        except ConnectionError:
            return response
        due = max(due + 1 / FPS, loop.time())
        await asyncio.sleep(due - loop.time())


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/video.mjpg", video)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
