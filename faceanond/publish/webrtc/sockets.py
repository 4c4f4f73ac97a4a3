"""Opens sockets on this machine's addresses: the same port on each, so that one forwarded port or range is enough."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Sequence

from faceanond.publish.webrtc.errors import NoFreePortError

RECEIVE_BUFFER = 64 * 1024
"""Bytes of socket buffer for one viewer, which sends only reports and connectivity checks."""
SHARED_BUFFER = 1024 * 1024
"""Bytes, each way, for all viewers together; the system may grant less."""
BACKLOG = 64
"""TCP connections that wait to be accepted."""
TRIES = 16
"""Ports tried where any may be taken, until one is free on every address."""


def bind(addresses: Sequence[str], ports: tuple[int, int]) -> list[socket.socket]:
    """UDP sockets on one port of `ports` (first, last; 0 for any) of each address.

    An address that cannot be bound at all is left out. Raises NoFreePortError. The caller closes the sockets.
    """
    tries = _candidates(ports)
    for number, wanted in enumerate(tries, start=1):
        sockets: list[socket.socket] = []
        taken = False
        port = wanted
        for address in addresses:
            try:
                opened = open_udp(address, port, RECEIVE_BUFFER)
            except OSError as error:
                taken = taken or error.errno == errno.EADDRINUSE
                continue
            sockets.append(opened)
            port = port or opened.getsockname()[1]
        # Where any port will do, some address is better than none.
        if sockets and (not taken or (ports[0] == 0 and number == len(tries))):
            return sockets
        for opened in sockets:
            opened.close()
    first, last = ports
    where = f"webrtc.udp_ports {first}-{last}" if first else "this machine"
    raise NoFreePortError(f"no UDP port of {where} is free")


def _candidates(ports: tuple[int, int]) -> list[int]:
    """The ports to try, in order: from a random start on, so that viewers spread over the range."""
    first, last = ports
    if first == 0:
        return [0] * TRIES
    listed = list(range(first, last + 1))
    start = random.randrange(len(listed))  # noqa: S311 (a port is no secret)
    return listed[start:] + listed[:start]


def open_udp(address: str, port: int, receive: int, send: int = 0) -> socket.socket:
    """A bound UDP socket with buffers of so many bytes (0: the system's choice). Raises OSError."""
    opened = _new(address, socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        if send:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send)
        opened.bind((address, port))
    except OSError:
        opened.close()
        raise
    return opened


def open_tcp(address: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises OSError."""
    opened = _new(address, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _new(address: str, kind: socket.SocketKind) -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    opened.setblocking(False)
    return opened
