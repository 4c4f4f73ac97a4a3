"""The HTTP listener: opens it with clear words when it cannot, and closes it within a deadline."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web

from faceanond.clock import Clock, SystemClock
from faceanond.config.model import Http
from faceanond.connections import Connections
from faceanond.sockets import cannot_listen
from faceanond.tls import opened, renew
from faceanond.web.problem import problem

log = structlog.get_logger(__name__)

GRACE = 1.0
"""Seconds that requests in progress get when the listener closes."""
IDLE = 30.0
"""Seconds that an unused connection stays open; the page asks every two."""
HANDSHAKE_WITHIN = 10.0
"""Seconds for a TLS handshake: two round trips."""
SPARE_CONNECTIONS = 512
"""Connections beyond `max_streams`: of pages, scripts and players, which each hold a few for half a minute."""
STALLED = 30.0
"""Seconds that a client may take nothing of what waits for it. Streams are more impatient, see `receiver`."""
LONGEST_LINE = 8190
BACKLOG = 128


class _Connection(web.RequestHandler):
    """aiohttp's connection, but for requests that are no HTTP: those get the error form of all others, no banner, and
    no traceback in the log, which anybody could fill that way.

    It is counted in `held`, unless it is inside a `_Secured` one, which is. A client that takes nothing is cut off:
    aiohttp would wait for it for ever.
    """

    __slots__ = ("_held", "_stalled", "client")

    def __init__(
        self, manager: web.Server, *, held: Connections | None, loop: asyncio.AbstractEventLoop, **named: Any
    ) -> None:
        super().__init__(manager, loop=loop, **named)
        self._held = held
        self._stalled: asyncio.TimerHandle | None = None
        self.client = ""

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._current_request is not None

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.client = _client(transport)
        if self._held is not None:
            self._held.came(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._held is not None:
            self._held.went(self)
        self._moves()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._moves()
        self._stalled = self._loop.call_later(STALLED, self.abort)

    def resume_writing(self) -> None:
        self._moves()
        super().resume_writing()

    def _moves(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if isinstance(exc, UnicodeEncodeError):
            # aiohttp quotes an Expect header that it does not know, and stumbles when that is no text.
            status = HTTPStatus.BAD_REQUEST
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("connection failed", exc_info=exc)
        response = problem(HTTPStatus(status), "the request is not valid HTTP/1.1")
        response.headers[hdrs.SERVER] = ""  # else aiohttp names itself and its version
        response.force_close()
        return response


class _Secured(SSLProtocol):
    """The TLS around a connection, as asyncio makes it; but it is known, and counted, from before the handshake on.

    asyncio does not promise its class, and promises nothing that serves as well: a listener with `ssl` tells of a
    connection only when its handshake is over, and `loop.start_tls` gives the protocol a request that comes in one
    segment with the handshake's end before its caller can tell it that it is connected.
    """

    def __init__(
        self, inner: _Connection, tls: ssl.SSLContext, held: Connections, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            loop,
            inner,
            tls,
            None,  # type: ignore[arg-type]  # nobody waits for the handshake
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE_WITHIN,  # type: ignore[arg-type]  # any number, says its documentation
            ssl_shutdown_timeout=GRACE,
        )
        self._inner = inner
        self._held = held
        self._outer: asyncio.Transport | None = None
        self.client = ""

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._inner.busy

    def abort(self) -> None:
        if self._outer is not None:
            self._outer.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._outer = transport
        self.client = _client(transport)
        super().connection_made(transport)
        self._held.came(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._held.went(self)
        super().connection_lost(exc)


def _client(transport: asyncio.BaseTransport) -> str:
    """The other end's address."""
    return str((transport.get_extra_info("peername") or ("gone",))[0])


@asynccontextmanager
async def serving(
    app: web.Application, settings: Http, *, clock: Clock | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Serves the application while the context lasts; gives the address, with the real port when 0 was asked for.

    Leaving stops listening, gives requests in progress GRACE seconds, then closes everything. Raises UnavailableError.
    With a certificate the listener speaks HTTPS, and errors of the context's body come in a group.
    """
    clock = clock or SystemClock()
    held = Connections(settings.max_streams + SPARE_CONNECTIONS, listener="http", clock=clock)
    if not settings.certificate:
        async with _listening(app, settings, None, held) as address:
            yield address
        return
    certificate = await opened(settings.certificate, settings.key, table="http")
    async with _listening(app, settings, certificate.context, held) as address, asyncio.TaskGroup() as tasks:
        renewal = renew(certificate, table="http", clock=clock)
        renewing = tasks.create_task(renewal, name="http: look for a renewed certificate")
        try:
            yield address
        finally:
            renewing.cancel()


@asynccontextmanager
async def _listening(
    app: web.Application, settings: Http, tls: ssl.SSLContext | None, held: Connections
) -> AsyncIterator[tuple[str, int]]:
    host, port = settings.listen
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=GRACE)
    await runner.setup()
    manager = runner.server
    assert manager is not None

    def connection() -> asyncio.BaseProtocol:
        inner = _Connection(
            manager,
            held=held if tls is None else None,
            loop=loop,
            access_log=None,
            keepalive_timeout=IDLE,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            # No request here needs it, and a body that only claims to be compressed would be a traceback in the log.
            auto_decompress=False,
        )
        return inner if tls is None else _Secured(inner, tls, held, loop)

    try:
        try:
            listener = await loop.create_server(connection, host or None, port, backlog=BACKLOG)
        except OSError as error:
            raise cannot_listen("http.listen", host, port, error) from None
        try:
            address = listener.sockets[0].getsockname()
            log.info("http listener opened", address=f"{host or '*'}:{address[1]}", tls=tls is not None)
            yield str(address[0]), int(address[1])
        finally:
            listener.close()
    finally:
        await runner.cleanup()
