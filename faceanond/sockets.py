"""What the sockets of all ways out have in common: TCP without old video, and words for a port that is taken."""

from __future__ import annotations

import errno
import os
import socket

import structlog

from faceanond.errors import UnavailableError

log = structlog.get_logger(__name__)

SEND_BUFFER = 256 * 1024
"""Bytes for the kernel's side: left to itself it grows to several MB, which are seconds of old video."""
UNACKNOWLEDGED = 10_000
"""Milliseconds after which data, or the kernel's question whether somebody is there, is given up without an answer."""
ASK_AFTER, ASK_EVERY = 5, 2
"""Seconds of silence until the kernel asks whether the other machine is still there, and between its questions. So one
to which nothing is sent just now is found gone as soon as one that plays."""


def tune(connection: socket.socket, *, send_buffer: int = SEND_BUFFER) -> None:
    """Keeps a TCP connection's pictures fresh, and finds out within 12 s that the other machine is gone."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # As Linux calls them; a system that has them not keeps its own times.
        for option, value in (
            ("TCP_KEEPIDLE", ASK_AFTER),
            ("TCP_KEEPINTVL", ASK_EVERY),
            ("TCP_USER_TIMEOUT", UNACKNOWLEDGED),
        ):
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    except OSError as error:
        # The other side left already, which reading will show; the options are improvements, not needs.
        log.debug("socket options not set", reason=str(error))


def cannot_listen(key: str, host: str, port: int, error: OSError, *, kind: str = "TCP") -> UnavailableError:
    """What to tell of a port that a key asks for and that cannot be had; no host means every address."""
    place = f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"
    if error.errno == errno.EADDRINUSE:
        advice = "another program uses this port; stop that, or choose another port"
    elif error.errno in (errno.EACCES, errno.EPERM):
        advice = "ports below 1024 need a privilege; choose a higher one"
    elif error.errno == errno.EADDRNOTAVAIL:
        advice = "this is no address of this machine; use one of its own, 127.0.0.1 or 0.0.0.0"
    else:
        advice = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return UnavailableError(f"{key}: cannot listen on {kind} {place}: {advice}")
