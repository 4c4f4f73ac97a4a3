"""How packets reach an RTSP server that records over UDP: from a pair of ports of our own to the pair it names.

Over TCP they go through `publish/rtsp/delivery`, as to a player.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Protocol

from faceanond.clock import Clock
from faceanond.errors import PushError, PushFault
from faceanond.publish.rtsp.datagrams import Datagrams, bind_pair, connect


class Delivery(Protocol):
    """The way out of one push."""

    def send(self, packets: Sequence[bytes]) -> None:
        """Sends RTP packets; never waits."""
        ...

    def send_rtcp(self, data: bytes) -> None:
        """Sends an RTCP packet; never waits."""
        ...

    async def ready(self) -> None:
        """Waits until the server can take more. Raises ConnectionError when it is gone."""
        ...

    def close(self) -> None:
        """Frees what it owns; safe twice."""
        ...


def parameter(transport: str, name: str) -> str:
    """One parameter of a Transport header; empty when it is not there."""
    for part in transport.partition(",")[0].split(";"):
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip()
    return ""


class UdpDelivery:
    """Two sockets, on an even port and the next one, that talk to the server's address only."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        # RTP, then RTCP, as they are opened.
        self._ends: list[Datagrams] = []
        self._sockets: list[socket.socket] = []
        self.ports = (0, 0)
        self.refused_at: float | None = None
        """Since when the server's machine says that nobody listens there (monotonic); None while it does not."""

    def bind(self, connection: socket.socket) -> None:
        """Takes two ports on the address from which the server is reached. Raises PushError."""
        try:
            self._sockets = bind_pair(connection)
        except OSError as error:
            raise PushError(PushFault.INTERNAL, f"no UDP ports: {error.strerror}") from None
        rtp, rtcp = self._sockets
        self.ports = rtp.getsockname()[1], rtcp.getsockname()[1]

    async def open(self, connection: socket.socket, ports: tuple[int, int]) -> None:
        """Starts to talk to these ports of the server. Raises PushError; `close` frees what was opened by then."""
        loop = asyncio.get_running_loop()
        try:
            for port in ports:
                connect(self._sockets[0], connection, port)
                end = Datagrams(arrived=self._arrived, refused=self._refused)
                # From here on the transport closes it.
                await loop.create_datagram_endpoint(lambda end=end: end, sock=self._sockets.pop(0))  # type: ignore[misc]
                self._ends.append(end)
        except OSError as error:
            raise PushError(PushFault.UNREACHABLE, f"no way to the server's UDP ports: {error.strerror}") from None

    def send(self, packets: Sequence[bytes]) -> None:
        for packet in packets:
            self._ends[0].send(packet)

    def send_rtcp(self, data: bytes) -> None:
        self._ends[1].send(data)

    async def ready(self) -> None:
        """Datagrams never wait."""

    def close(self) -> None:
        for end in self._ends:
            end.close()
        for one in self._sockets:
            one.close()
        self._sockets = []

    def _arrived(self, _: bytes) -> None:
        self.refused_at = None

    def _refused(self) -> None:
        if self.refused_at is None:
            self.refused_at = self._clock.monotonic()
