"""A camera: JPEG pictures over HTTP, as cheap cameras send them (multipart/x-mixed-replace).

python -m tests.e2e.mjpeg_camera PORT         serves the packaged face, moving, at /video.mjpg
"""

from __future__ import annotations

import asyncio
import sys

import cv2
import numpy as np
from aiohttp import web

from faceanond.assets import astronaut

FPS = 12


def pictures() -> list[bytes]:
    figure = cv2.resize(astronaut(), (480, 480))
    canvas = np.zeros((480, 640, 3), np.uint8)
    canvas[:] = np.linspace(60, 160, 640, dtype=np.uint8)[None, :, None]
    found = []
    for shift in [*range(0, 160, 8), *range(160, 0, -8)]:
        picture = canvas.copy()
        picture[:, shift : shift + 480] = figure
        found.append(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
    return found


async def video(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "multipart/x-mixed-replace; boundary=frame"})
    await response.prepare(request)
    while True:
        for picture in request.app[PICTURES]:
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            await response.write(head.encode() + picture + b"\r\n")
            await asyncio.sleep(1 / FPS)


PICTURES = web.AppKey("pictures", list)

if __name__ == "__main__":
    app = web.Application()
    app[PICTURES] = pictures()
    app.router.add_get("/video.mjpg", video)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
