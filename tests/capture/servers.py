"""Real servers for the tests, on ephemeral ports of 127.0.0.1: GStreamer's RTSP server and an HTTP camera."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from aiohttp import web

from tests.conftest import need_tool

USER, PASSWORD = "viewer", "geheim:@/?#"
SYSTEM_PYTHON = "/usr/bin/python3"


@contextlib.contextmanager
def gst_camera(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """GStreamer's RTSP server; yields the URL and the process."""
    need_tool("gst-inspect-1.0")
    script = Path(__file__).with_name("gst_rtsp_server.py")
    process = subprocess.Popen([SYSTEM_PYTHON, str(script), *options], stdout=subprocess.PIPE, text=True)
    try:
        port = process.stdout.readline().strip()
        if not port:
            pytest.skip(
                "GStreamer's RTSP server does not start (apt-get install python3-gi gir1.2-gst-rtsp-server-1.0)"
            )
        yield f"rtsp://127.0.0.1:{port}/cam", process
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def jpeg(size: tuple[int, int] = (320, 240), value: int = 90) -> bytes:
    return cv2.imencode(".jpg", np.full((size[1], size[0], 3), value, np.uint8))[1].tobytes()


class HttpCamera:
    """An HTTP camera with many habits; see the routes."""

    def __init__(self) -> None:
        self.connections = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/mjpeg", self.mjpeg),
                web.get("/private", self.private),
                web.get("/moved", self.moved),
                web.get("/text", self.text),
                web.get("/playlist", self.playlist),
                web.get("/silent", self.silent),
                web.get("/broken", self.broken),
            ]
        )
        return app

    async def mjpeg(self, request: web.Request) -> web.StreamResponse:
        """Multipart pictures; ?count=N ends after N, ?then=hang stays silent, ?then=resize changes the size."""
        self.connections += 1
        response = web.StreamResponse(headers={"Content-Type": "multipart/x-mixed-replace; boundary=frame"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for index in range(int(request.query.get("count", "100000"))):
                await self._part(response, jpeg(value=60 + index % 100))
                await asyncio.sleep(0.01)
            if request.query.get("then") == "hang":
                await asyncio.sleep(60)
            if request.query.get("then") == "resize":
                for _ in range(5):
                    await self._part(response, jpeg((160, 120)))
        return response

    async def _part(self, response: web.StreamResponse, body: bytes) -> None:
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        await response.write(head.encode() + body + b"\r\n")

    async def private(self, request: web.Request) -> web.StreamResponse:
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("Authorization") != expected:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="camera"'})
        return await self.mjpeg(request)

    async def moved(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/mjpeg")

    async def text(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>not a camera</html>" * 500, content_type="text/html")

    async def playlist(self, request: web.Request) -> web.StreamResponse:
        text = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n/mjpeg\n#EXT-X-ENDLIST\n"
        return web.Response(text=text, content_type="application/vnd.apple.mpegurl")

    async def silent(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async def broken(self, request: web.Request) -> web.StreamResponse:
        """A good picture now and then, between many that are none."""
        response = web.StreamResponse(headers={"Content-Type": "multipart/x-mixed-replace; boundary=frame"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for index in range(100000):
                good = jpeg()
                await self._part(response, good if index % 4 == 0 else good[: len(good) // 2])
                await asyncio.sleep(0.01)
        return response


@contextlib.asynccontextmanager
async def http_camera(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, HttpCamera]]:
    """Yields the base URL and the camera."""
    camera = HttpCamera()
    runner = web.AppRunner(camera.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", camera
    finally:
        await runner.cleanup()
