"""The HTTP listener: opens it with clear words when it cannot, and closes it within a deadline."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web

from faceanond.clock import Clock, SystemClock
from faceanond.config.model import Http
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
LONGEST_LINE = 8190
BACKLOG = 128


class _Connection(web.RequestHandler):
    """aiohttp's connection, but for requests that are no HTTP: those get the error form of all others, no banner, and
    no traceback in the log, which anybody could fill that way.
    """

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


@asynccontextmanager
async def serving(
    app: web.Application, settings: Http, *, clock: Clock | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Serves the application while the context lasts; gives the address, with the real port when 0 was asked for.

    Leaving stops listening, gives requests in progress GRACE seconds, then closes everything. Raises UnavailableError.
    With a certificate the listener speaks HTTPS, and errors of the context's body come in a group.
    """
    if not settings.certificate:
        async with _listening(app, settings, None) as address:
            yield address
        return
    certificate = await opened(settings.certificate, settings.key, table="http")
    async with _listening(app, settings, certificate.context) as address, asyncio.TaskGroup() as tasks:
        renewal = renew(certificate, table="http", clock=clock or SystemClock())
        renewing = tasks.create_task(renewal, name="http: look for a renewed certificate")
        try:
            yield address
        finally:
            renewing.cancel()


@asynccontextmanager
async def _listening(
    app: web.Application, settings: Http, tls: ssl.SSLContext | None
) -> AsyncIterator[tuple[str, int]]:
    host, port = settings.listen
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=GRACE)
    await runner.setup()
    manager = runner.server
    assert manager is not None

    def connection() -> _Connection:
        return _Connection(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is what aiohttp itself passes on for no log
            keepalive_timeout=IDLE,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            # No request here needs it, and a body that only claims to be compressed would be a traceback in the log.
            auto_decompress=False,
        )

    try:
        try:
            listener = await loop.create_server(
                connection,
                host or None,
                port,
                backlog=BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_WITHIN if tls else None,
                ssl_shutdown_timeout=GRACE if tls else None,
            )
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
