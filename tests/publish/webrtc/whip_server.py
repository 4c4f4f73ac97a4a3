"""A scripted WHIP server for the tests, with a stock aiortc peer behind it that decodes what comes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av.video.frame import VideoFrame


@dataclass
class WhipServer:
    """`script` holds answers to give instead of taking the offer, first to last: a Response, or None to say nothing."""

    script: list[web.StreamResponse | None] = field(default_factory=list)
    location: str = "/session/1"
    offers: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    frames: list[VideoFrame] = field(default_factory=list)
    peers: list[RTCPeerConnection] = field(default_factory=list)
    hold_delete: bool = False
    port: int = 0
    _tasks: asyncio.TaskGroup | None = None
    _watching: list[asyncio.Task[None]] = field(default_factory=list)

    async def offer(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("Authorization", ""))
        assert request.content_type == "application/sdp"
        text = await request.text()
        self.offers.append(text)
        if self.script:
            answer = self.script.pop(0)
            if answer is None:
                await asyncio.Event().wait()
            assert answer is not None
            return answer
        return self.created(await self.answer(text))

    def created(self, sdp: str) -> web.Response:
        headers = {"Location": self.location, "ETag": '"1"', "Link": '<stun:stun.example.org>; rel="ice-server"'}
        return web.Response(status=201, body=sdp.encode(), content_type="application/sdp", headers=headers)

    async def answer(self, offer: str) -> str:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers.append(peer)
        assert self._tasks is not None
        tasks = self._tasks

        @peer.on("track")
        def started(track) -> None:
            self._watching.append(tasks.create_task(self._watch(track), name="whip server: watch"))

        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return peer.localDescription.sdp

    async def _watch(self, track) -> None:
        try:
            while True:
                self.frames.append(await track.recv())
        except MediaStreamError:
            return

    async def end(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization", ""))
        self.deleted.append(request.path)
        if self.hold_delete:
            await asyncio.Event().wait()
        for peer in self.peers:
            await peer.close()
        return web.Response()


@asynccontextmanager
async def whip(server: WhipServer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Runs the server; yields the URL at which a camera is pushed to it."""
    app = web.Application()
    app.router.add_post("/whip/{name}", server.offer)
    app.router.add_delete("/session/{name}", server.end)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server.port = runner.addresses[0][1]
    async with asyncio.TaskGroup() as server._tasks:
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{server.port}/whip/yard"
        finally:
            for peer in server.peers:
                await peer.close()
            # A track that never began never ends, either.
            for task in server._watching:
                task.cancel()
            await runner.cleanup()
