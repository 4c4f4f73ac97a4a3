"""How packets reach an RTSP server that records over UDP: from a pair of ports of our own to the pair it names.

Over TCP they go through `publish/rtsp/delivery`, as to a player.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from typing import Protocol, cast

from faceanond.clock import Clock
from faceanond.errors import PushError, PushFault

PORT_TRIES = 50
"""Attempts to find an even port whose odd neighbour is free, too."""
_PAIR = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


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


def pair(text: str, highest: int) -> tuple[int, int] | None:
    """Two ports or channels of a Transport header; None when they cannot be used."""
    match = _PAIR.fullmatch(text)
    if match is None:
        return None
    first = int(match[1])
    second = int(match[2]) if match[2] else first + 1
    return (first, second) if first != second and max(first, second) <= highest else None


class UdpDelivery:
    """Two sockets, on an even port and the next one, that talk to the server's address only."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._rtp: _Datagrams | None = None
        self._rtcp: _Datagrams | None = None
        self._sockets: list[socket.socket] = []
        self.ports = (0, 0)
        self.refused_at: float | None = None
        """Since when the server's machine says that nobody listens there (monotonic); None while it does not."""

    def bind(self, connection: socket.socket) -> None:
        """Takes two ports on the address from which the server is reached. Raises PushError."""
        local = connection.getsockname()
        error: OSError | None = None
        for _ in range(PORT_TRIES):
            opened: list[socket.socket] = []
            try:
                first = _bound(connection.family, local, 0, opened)
                # Binding to a port of its own choice, the kernel gives odd ones as often as even ones.
                _bound(connection.family, local, first.getsockname()[1] ^ 1, opened)
            except OSError as failure:
                error = failure
                for one in opened:
                    one.close()
                continue
            self._sockets = sorted(opened, key=lambda one: int(one.getsockname()[1]))
            self.ports = self._sockets[0].getsockname()[1], self._sockets[1].getsockname()[1]
            return
        assert error is not None
        raise PushError(PushFault.INTERNAL, f"no UDP ports: {error.strerror}")

    async def open(self, connection: socket.socket, ports: tuple[int, int]) -> None:
        """Starts to talk to these ports of the server. Raises PushError."""
        peer = connection.getpeername()
        loop = asyncio.get_running_loop()
        ends: list[_Datagrams] = []
        try:
            for port in ports:
                # From here on the transport closes it.
                self._sockets[0].connect((peer[0], port, *peer[2:]))
                end = _Datagrams(self)
                await loop.create_datagram_endpoint(lambda end=end: end, sock=self._sockets.pop(0))  # type: ignore[misc]
                ends.append(end)
        except OSError as error:
            for end in ends:
                end.close()
            raise PushError(PushFault.UNREACHABLE, f"no way to the server's UDP ports: {error.strerror}") from None
        self._rtp, self._rtcp = ends

    def send(self, packets: Sequence[bytes]) -> None:
        if self._rtp is not None:
            for packet in packets:
                self._rtp.send(packet)

    def send_rtcp(self, data: bytes) -> None:
        if self._rtcp is not None:
            self._rtcp.send(data)

    async def ready(self) -> None:
        """Datagrams never wait."""

    def close(self) -> None:
        for end in (self._rtp, self._rtcp):
            if end is not None:
                end.close()
        for one in self._sockets:
            one.close()
        self._sockets = []

    def heard(self) -> None:
        """The server sent something."""
        self.refused_at = None

    def refused(self) -> None:
        """The server's machine says that the port is closed."""
        if self.refused_at is None:
            self.refused_at = self._clock.monotonic()


class _Datagrams(asyncio.DatagramProtocol):
    """One socket."""

    def __init__(self, owner: UdpDelivery) -> None:
        self._owner = owner
        self._transport: asyncio.DatagramTransport | None = None
        self._full = False

    def send(self, data: bytes) -> None:
        """Sends, or drops while the kernel takes no more: asyncio would queue without bound."""
        if self._transport is not None and not self._transport.is_closing() and not self._full:
            self._transport.sendto(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance here: until Python 3.12 asyncio's own transport is no DatagramTransport.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False

    def datagram_received(self, data: bytes, address: object) -> None:
        self._owner.heard()

    def error_received(self, error: Exception) -> None:
        if isinstance(error, ConnectionRefusedError):
            self._owner.refused()


def _bound(family: int, local: tuple[str, int], port: int, opened: list[socket.socket]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_DGRAM)
    opened.append(one)
    one.setblocking(False)
    one.bind((local[0], port, *local[2:]))
    return one
