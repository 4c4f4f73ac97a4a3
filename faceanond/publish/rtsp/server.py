"""Listens for players and looks after their connections."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from faceanond.clock import Clock
from faceanond.config.model import Rtsp
from faceanond.errors import UnavailableError
from faceanond.publish.rtsp.connection import Connection, Shared
from faceanond.publish.stream import Stream

log = structlog.get_logger(__name__)

CHECK_INTERVAL = 1.0
"""Seconds between two looks for players that are gone."""
SPARE_CONNECTIONS = 32
"""Connections beyond `max_sessions`, so that a player that comes too late is told 503 instead of being cut off."""
SEND_BUFFER = 256 * 1024
"""Bytes for the kernel's side: left to itself it grows to several MB, which are seconds of old video."""
UNACKNOWLEDGED = 10_000
"""Milliseconds after which data without an answer ends a connection: the player's machine is gone."""


class RtspServer:
    """`async with server:` listens from entry and, at exit, has ended every player and freed everything.

    `find_stream` is asked for each DESCRIBE and SETUP. Entering raises UnavailableError when the address cannot be
    used. Must be entered and left by the same task.
    """

    def __init__(self, find_stream: Callable[[str], Stream | None], settings: Rtsp, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._shared = Shared(find_stream=find_stream, clock=clock, max_sessions=settings.max_sessions)
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._watch: asyncio.Task[None] | None = None
        self._listener: asyncio.Server | None = None
        self._closing = False

    @property
    def port(self) -> int:
        """The port in use: the configured one, or the one that the system chose for port 0."""
        assert self._listener is not None, "the server must be entered first"
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def sessions(self) -> int:
        """Players that are set up now."""
        return self._shared.sessions

    async def __aenter__(self) -> Self:
        host, port = self._settings.listen
        try:
            self._listener = await asyncio.start_server(self._accept, host or None, port)
        except OSError as error:
            raise UnavailableError(_cannot_listen(host, port, error)) from None
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._watch = self._tasks.create_task(self._check(), name="rtsp: look for players that are gone")
        log.info("rtsp server listening", host=host or "*", port=self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listener is not None
        assert self._tasks is not None
        assert self._watch is not None
        self._closing = True
        self._listener.close()
        self._watch.cancel()
        for task in self._connections.values():
            task.cancel()
        if error is not None and not isinstance(error, asyncio.CancelledError):
            # The error of the `async with` block is its own; the group would wrap it.
            kind = error = trace = None
        await self._tasks.__aexit__(kind, error, trace)
        # A connection that was accepted just now was cancelled before it could run.
        for connection in self._connections:
            connection.abort()
        await self._listener.wait_closed()

    async def run(self) -> None:
        """Serves until cancelled."""
        async with self:
            await asyncio.get_running_loop().create_future()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closing:
            writer.transport.abort()
            return
        if len(self._connections) >= self._settings.max_sessions + SPARE_CONNECTIONS:
            log.warning("connection refused", reason="too many connections", connections=len(self._connections))
            writer.transport.abort()
            return
        _tune(writer.get_extra_info("socket"))
        assert self._tasks is not None
        connection = Connection(reader, writer, self._shared)
        self._connections[connection] = self._tasks.create_task(self._serve(connection), name="rtsp connection")

    async def _serve(self, connection: Connection) -> None:
        try:
            await connection.run()
        except Exception:
            # A defect in serving one player must not end all the others with it.
            log.exception("rtsp connection failed")
        finally:
            del self._connections[connection]

    async def _check(self) -> None:
        while True:
            await self._clock.sleep(CHECK_INTERVAL)
            for connection in tuple(self._connections):
                connection.check()


def _tune(connection: socket.socket) -> None:
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED)
    except OSError as error:
        # The peer left already, which reading will show; the options are improvements, not needs.
        log.debug("socket options not set", reason=str(error))


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    place = f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"
    if error.errno == errno.EADDRINUSE:
        advice = "another program uses this port; choose another one in the key rtsp.listen, or stop that program"
    elif error.errno == errno.EACCES:
        advice = "ports below 1024 need a privilege; choose a higher one in the key rtsp.listen"
    else:
        detail = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        advice = f"{detail}; set the key rtsp.listen to an address of this machine"
    return f"the RTSP server cannot listen on {place}: {advice}"
