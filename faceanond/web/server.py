"""The HTTP listener: opens it with clear words when it cannot, and closes it within a deadline."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from faceanond.config.model import Http
from faceanond.errors import UnavailableError

log = structlog.get_logger(__name__)

GRACE = 2.0
"""Seconds that requests in progress get when the listener closes."""
IDLE = 30.0
"""Seconds that an unused connection stays open; the page asks every two."""
LONGEST_LINE = 8190
BACKLOG = 128


@asynccontextmanager
async def serving(app: web.Application, settings: Http) -> AsyncIterator[tuple[str, int]]:
    """Serves the application while the context lasts; gives the address, with the real port when 0 was asked for.

    Leaving stops listening, gives requests in progress GRACE seconds, then closes everything. Raises UnavailableError.
    """
    host, port = settings.listen
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=IDLE,
        shutdown_timeout=GRACE,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host or None, port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            raise UnavailableError(_reason(host, port, error)) from None
        address = runner.addresses[0]
        log.info("http listener opened", address=f"{host or '*'}:{address[1]}")
        yield str(address[0]), int(address[1])
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
