"""A reverse proxy as some offices have them: it passes requests and answers on, but no WebSocket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from aiohttp import ClientError, ClientSession, ClientTimeout, hdrs, web

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"})
CHUNK = 1000
"""Bytes that are passed on at once: what a proxy gives has nothing to do with what the server sent."""


class StrictProxy:
    """In front of one server. Its answers may be changed while it runs."""

    def __init__(self, upstream: str, session: ClientSession) -> None:
        self._upstream = upstream
        self._session = session
        self.lets_sockets_through = False
        self.holds_back = False
        """Whether it collects answers of unknown length, as virus scanners do; an endless one never comes through."""
        self.refused = 0
        self.asked: list[str] = []
        self.streaming: list[str] = []
        """Paths of the answers that go on."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            if not self.lets_sockets_through:
                self.refused += 1
                raise web.HTTPForbidden(text="no upgrades here")
            return await self._tunnel(request)
        kept = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        async with self._session.request(
            request.method, self._upstream + request.path_qs, headers=kept, data=await request.read()
        ) as upstream:
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
            for name, value in upstream.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    response.headers.add(name, value)
            self.streaming.append(request.path)
            try:
                if self.holds_back and upstream.content_length is None:
                    await upstream.read()
                await response.prepare(request)
                with contextlib.suppress(ConnectionError, ClientError):
                    async for piece in upstream.content.iter_chunked(CHUNK):
                        await response.write(piece)
            finally:
                self.streaming.remove(request.path)
            return response

    async def _tunnel(self, request: web.Request) -> web.StreamResponse:
        kept = {name: request.headers[name] for name in (hdrs.HOST, hdrs.ORIGIN) if name in request.headers}
        channel = web.WebSocketResponse()
        await channel.prepare(request)
        async with self._session.ws_connect(self._upstream + request.path_qs, headers=kept) as upstream:
            async for message in upstream:
                if isinstance(message.data, str):
                    await channel.send_str(message.data)
                else:
                    await channel.send_bytes(message.data)
        return channel


@contextlib.asynccontextmanager
async def strict_proxy(upstream: str) -> AsyncIterator[tuple[StrictProxy, str]]:
    """The proxy, and its address."""
    async with ClientSession(auto_decompress=False, timeout=ClientTimeout(total=None)) as session:
        proxy = StrictProxy(upstream, session)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        # The browser is still there when a test ends; nobody waits for what it watches.
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield proxy, f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
