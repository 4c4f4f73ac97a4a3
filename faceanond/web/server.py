"""The HTTP listener: opens it with clear words when it cannot, and closes it within a deadline."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web

from faceanond.config.model import Http
from faceanond.errors import UnavailableError
from faceanond.web.problem import problem

log = structlog.get_logger(__name__)

GRACE = 1.0
"""Seconds that requests in progress get when the listener closes."""
IDLE = 30.0
"""Seconds that an unused connection stays open; the page asks every two."""
LONGEST_LINE = 8190
BACKLOG = 128


class _Connection(web.RequestHandler):
    """aiohttp's connection, but for requests that are no HTTP: those get the error form of all others, no banner, and
    no traceback in the log, which anybody could fill that way.
    """

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("connection failed", exc_info=exc)
        response = problem(HTTPStatus(status), "the request is not valid HTTP/1.1")
        response.headers[hdrs.SERVER] = ""  # else aiohttp names itself and its version
        response.force_close()
        return response


@asynccontextmanager
async def serving(app: web.Application, settings: Http) -> AsyncIterator[tuple[str, int]]:
    """Serves the application while the context lasts; gives the address, with the real port when 0 was asked for.

    Leaving stops listening, gives requests in progress GRACE seconds, then closes everything. Raises UnavailableError.
    """
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
            listener = await loop.create_server(connection, host or None, port, backlog=BACKLOG)
        except OSError as error:
            raise UnavailableError(_reason(host, port, error)) from None
        try:
            address = listener.sockets[0].getsockname()
            log.info("http listener opened", address=f"{host or '*'}:{address[1]}")
            yield str(address[0]), int(address[1])
        finally:
            listener.close()
    finally:
        await runner.cleanup()


def _reason(host: str, port: int, error: OSError) -> str:
    where = f"http.listen: {f'[{host}]' if ':' in host else host or '*'}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another process; stop that, or choose another port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where} may not be opened by this user; choose a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where} is not an address of this machine; use one of its own, 127.0.0.1 or 0.0.0.0"
    return f"{where} cannot be opened: {error.strerror or error}"
