"""RTP over UDP: a pair of sockets on an even port and the next one (RFC 3550, 11), towards one peer only."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

PORT_TRIES = 50
"""Attempts to find an even port whose odd neighbour is free, too."""


class Datagrams(asyncio.DatagramProtocol):
    """One socket. `arrived` gets what comes, `refused` hears that the peer's machine says that the port is closed."""

    def __init__(
        self, *, arrived: Callable[[bytes], None] | None = None, refused: Callable[[], None] | None = None
    ) -> None:
        self._handle_data = arrived
        self._handle_refusal = refused
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
        if self._handle_data is not None:
            self._handle_data(data)

    def error_received(self, error: Exception) -> None:
        if self._handle_refusal is not None and isinstance(error, ConnectionRefusedError):
            self._handle_refusal()


def bind_pair(connection: socket.socket) -> list[socket.socket]:
    """Two UDP sockets (RTP, RTCP) on the address of ours that this connection has. The caller closes them.

    Raises OSError when there is no such pair.
    """
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
        else:
            return sorted(opened, key=lambda one: int(one.getsockname()[1]))
    assert error is not None
    raise error


def connect(one: socket.socket, connection: socket.socket, port: int) -> None:
    """Lets a socket talk with this port of the connection's peer, and with nobody else. Raises OSError."""
    peer = connection.getpeername()
    one.connect((peer[0], port, *peer[2:]))


def _bound(family: int, local: tuple[str, int], port: int, opened: list[socket.socket]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_DGRAM)
    opened.append(one)
    one.setblocking(False)
    one.bind((local[0], port, *local[2:]))
    return one
