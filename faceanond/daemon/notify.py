"""Tells systemd how the daemon is doing: the sd_notify(3) protocol, one datagram a message.

Without systemd there is no socket and every call does nothing. A message that the socket does not take at once is
dropped: waiting for the service manager is worth no picture.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

import structlog

from faceanond.clock import Clock

log = structlog.get_logger(__name__)


class Notifier:
    """Sends to the service manager that started this process. Use as a context manager, or call `close`."""

    def __init__(self, address: str | None, *, watchdog_interval: float | None = None) -> None:
        """`address` is a path or an abstract name that begins with "@"; None means that nobody listens."""
        self.watchdog_interval = watchdog_interval
        """Seconds within which systemd wants a sign of life; None when it wants none."""
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._failed = False
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, *, pid: int | None = None) -> Notifier:
        """What NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say; the last two count only when meant for us."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            if address:
                log.warning("NOTIFY_SOCKET is neither a path nor an abstract name", address=address)
            return cls(None)
        return cls(address, watchdog_interval=_watchdog_interval(environ, os.getpid() if pid is None else pid))

    def __enter__(self) -> Notifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ready(self, status: str = "") -> None:
        """Started: listeners are open and the detector is warm. Units that wait for this one start now."""
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(_status(text))

    def alive(self) -> None:
        """A sign of life; systemd kills and restarts the process when it misses them."""
        self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> None:
        """The end has begun, in order."""
        self._send("STOPPING=1", _status(status))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *fields: str) -> None:
        if self._socket is None or self._address is None:
            return
        message = "\n".join(field for field in fields if field)
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:
            if not self._failed:
                self._failed = True
                log.warning("systemd took no message", detail=str(error))
        else:
            self._failed = False


async def feed_watchdog(notifier: Notifier, alive: Callable[[], bool], clock: Clock) -> None:
    """Gives signs of life while `alive` says so, three to an interval so that one may be late. Runs until cancelled.

    Returns at once when systemd wants none.
    """
    if notifier.watchdog_interval is None:
        return
    fed = True
    while True:
        if alive():
            notifier.alive()
            if not fed:
                log.info("watchdog is fed again")
            fed = True
        elif fed:
            log.error("watchdog is not fed: a vital part gives no sign of life")
            fed = False
        await clock.sleep(notifier.watchdog_interval / 3)


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}" if text else ""


def _watchdog_interval(environ: Mapping[str, str], pid: int) -> float | None:
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    return int(microseconds) / 1e6
