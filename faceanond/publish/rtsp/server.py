"""Listens for players, in the clear and inside TLS, and looks after their connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

import structlog

from faceanond.access import Access
from faceanond.buckets import network_of
from faceanond.clock import Clock
from faceanond.config.model import Rtsp
from faceanond.connections import Connections
from faceanond.logins import FailedLogins
from faceanond.publish.rtsp.connection import Connection, Shared
from faceanond.publish.stream import Stream
from faceanond.ratelimit import RateLimited
from faceanond.shares import Shares
from faceanond.sockets import cannot_listen, tune
from faceanond.tls import ServerCertificate, opened, renew

log = structlog.get_logger(__name__)

CHECK_INTERVAL = 1.0
"""Seconds between two looks for players that are gone."""
SPARE_CONNECTIONS = 32
"""Connections beyond `max_sessions`, so that a player that comes too late is told 503 instead of being cut off."""


class RtspServer:
    """`async with server:` listens from entry and, at exit, has ended every player and freed everything.

    `find_stream` is asked for each DESCRIBE and SETUP, `access` who may see what. Wrong logins are noted in `failures`,
    and the streams of each viewer counted in `shares`. Entering raises UnavailableError when an address or the
    certificate cannot be used. Must be entered and left by the same task.
    """

    def __init__(
        self,
        find_stream: Callable[[str], Stream | None],
        settings: Rtsp,
        *,
        clock: Clock,
        access: Access,
        failures: FailedLogins | None = None,
        shares: Shares | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._shared = Shared(
            find_stream=find_stream,
            clock=clock,
            access=access,
            failures=failures or FailedLogins(clock),
            shares=shares or Shares({}, clock=clock),
            max_sessions=settings.max_sessions,
        )
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._held = Connections(settings.max_sessions + SPARE_CONNECTIONS, listener="rtsp", clock=clock)
        self._from: Counter[str] = Counter()
        self._refused = RateLimited[str]()
        self._tasks: asyncio.TaskGroup | None = None
        self._chores: list[asyncio.Task[None]] = []
        self._listener: asyncio.Server | None = None
        self._tls_listener: asyncio.Server | None = None
        self._certificate: ServerCertificate | None = None
        self._closing = False
        self.failed = 0
        """Connections that a defect has ended."""

    @property
    def port(self) -> int:
        """The port in use: the configured one, or the one that the system chose for port 0."""
        assert self._listener is not None, "the server must be entered first"
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def tls_port(self) -> int | None:
        """The same for RTSPS; None when that is not served."""
        return None if self._tls_listener is None else int(self._tls_listener.sockets[0].getsockname()[1])

    @property
    def sessions(self) -> int:
        """Players that are set up now."""
        return self._shared.sessions

    async def __aenter__(self) -> Self:
        settings = self._settings
        # All that a connection needs is there before the first one can come.
        if settings.tls_listen is not None:
            self._certificate = await opened(settings.certificate, settings.key, table="rtsp")
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        try:
            self._listener = await self._listen("rtsp.listen", settings.listen, secure=False)
            if settings.tls_listen is not None:
                self._tls_listener = await self._listen("rtsp.tls_listen", settings.tls_listen, secure=True)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self._chores = [self._tasks.create_task(self._check(), name="rtsp: look for players that are gone")]
        if self._certificate is not None:
            renewing = renew(self._certificate, table="rtsp", clock=self._clock)
            self._chores.append(self._tasks.create_task(renewing, name="rtsp: look for a renewed certificate"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        self._closing = True
        listeners = [listener for listener in (self._listener, self._tls_listener) if listener is not None]
        for listener in listeners:
            listener.close()
        for task in (*self._chores, *self._connections.values()):
            task.cancel()
        if error is not None and not isinstance(error, asyncio.CancelledError):
            # The error of the `async with` block is its own; the group would wrap it.
            kind = error = trace = None
        try:
            # Raises the cancellation that ends the block, when one does.
            await self._tasks.__aexit__(kind, error, trace)
        finally:
            # A connection that was accepted just now was cancelled before it could run.
            for connection in self._connections:
                connection.abort()
            for listener in listeners:
                await listener.wait_closed()

    async def run(self) -> None:
        """Serves until cancelled."""
        async with self:
            await asyncio.get_running_loop().create_future()

    async def _listen(self, key: str, address: tuple[str, int], *, secure: bool) -> asyncio.Server:
        host, port = address
        try:
            listener = await asyncio.start_server(partial(self._accept, secure=secure), host or None, port)
        except OSError as error:
            raise cannot_listen(key, host, port, error) from None
        real = listener.sockets[0].getsockname()[1]
        log.info("rtsp server listening", host=host or "*", port=real, tls=secure)
        return listener

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, secure: bool) -> None:
        # No name when the client left again before it was accepted.
        peer = str((writer.get_extra_info("peername") or ("gone",))[0])
        if self._closing or not self._admitted(peer):
            writer.transport.abort()
            return
        tune(writer.get_extra_info("socket"))
        assert self._tasks is not None
        tls = self._certificate.context if secure and self._certificate is not None else None
        if tls is not None:
            # What comes is the handshake's, which begins when the connection runs.
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport reads as well
        connection = Connection(reader, writer, self._shared, peer=peer, tls=tls)
        if not self._held.came(connection):
            return
        self._from[network_of(peer)] += 1
        self._connections[connection] = self._tasks.create_task(self._serve(connection, peer), name="rtsp connection")

    def _admitted(self, peer: str) -> bool:
        """Whether one more connection from there is not too many. Tells the log when it is."""
        if self._from[network_of(peer)] < self._settings.max_per_address:
            return True
        reason = "too many connections from there; see rtsp.max_per_address"
        if told := self._refused.note(reason, self._clock.monotonic()):
            log.warning("connection refused", client=peer, reason=told.last, count=told.count)
        return False

    async def _serve(self, connection: Connection, peer: str) -> None:
        try:
            await connection.run()
        except Exception:
            # A defect in serving one player must not end all the others with it.
            self.failed += 1
            log.exception("rtsp connection failed")
        finally:
            del self._connections[connection]
            self._held.went(connection)
            self._from[network_of(peer)] -= 1
            if not self._from[network_of(peer)]:
                del self._from[network_of(peer)]

    async def _check(self) -> None:
        while True:
            await self._clock.sleep(CHECK_INTERVAL)
            for connection in tuple(self._connections):
                connection.check()
