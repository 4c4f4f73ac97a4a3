"""FFmpeg's TCP connection to a camera, seen from outside: so that a blocked call can be ended from another thread,
and so that a redirect to another host does not go unnoticed.

FFmpeg waits inside C. Its own time limits end a silent wait, but not one in which a hostile or half-dead camera keeps
sending something that is not a picture; PyAV's limits would take the interpreter's lock at every read. What ends both
at once is shutting the socket down. The socket is found by its peer, its inode and its time of birth; where that
could mean the connection of another camera (two opening to one address at the same moment), nothing is touched.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

_FDS = Path("/proc/self/fd")
_lock = threading.Lock()
_opening: set[Connection] = set()
_claimed: dict[str, Connection] = {}


class Connection:
    """The connection of one attempt. `host` None: there is none, and nothing here does anything."""

    def __init__(self, host: str | None, port: int | None) -> None:
        self._host = host
        self._port = port
        self._addresses: frozenset[str] = frozenset()
        self._before: frozenset[str] = frozenset()
        self._unsure = False
        self._ended = False

    def resolve(self) -> None:
        """Looks the host up. Blocks; raises OSError when the name is unknown."""
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        self._addresses |= {str(entry[4][0]) for entry in found}

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        """Around the call that connects: what is new to that peer afterwards is this connection."""
        if self._host is None:
            yield
            return
        with _lock:
            rivals = [other for other in _opening if self._same_peer(other)]
            for other in (self, *rivals):
                other._unsure |= bool(rivals)
            _opening.add(self)
            self._before = frozenset(_inodes())
        try:
            yield
        finally:
            with _lock:
                if not self._unsure:
                    _claimed.update(dict.fromkeys(self._mine(), self))
                _opening.discard(self)

    def went_elsewhere(self) -> bool:
        """After a successful open: no connection to the configured host is there, so it is to another one."""
        if self._host is None or self._unsure or self._ended or not _FDS.is_dir():
            return False
        with _lock:
            return self not in _claimed.values()

    def shut(self) -> None:
        """Ends the connection; whoever is blocked on it gets an end of file. From any thread."""
        if self._host is None:
            return
        self._ended = True
        with _lock:
            if self in _opening:
                if self._unsure:
                    return
                wanted = self._mine()
            else:
                wanted = {inode for inode, owner in _claimed.items() if owner is self}
            for inode, fd in _inodes().items():
                if inode in wanted:
                    self._shut(fd, inode)

    def forget(self) -> None:
        """The connection has been closed."""
        with _lock:
            for inode in [inode for inode, owner in _claimed.items() if owner is self]:
                del _claimed[inode]

    def _same_peer(self, other: Connection) -> bool:
        return self._port == other._port and bool(self._addresses & other._addresses)

    def _mine(self) -> set[str]:
        return {
            inode
            for inode, fd in _inodes().items()
            if inode not in self._before and inode not in _claimed and self._is_peer(fd)
        }

    def _is_peer(self, fd: int) -> bool:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as copy:
            peer = copy.getpeername()
            return bool(peer) and peer[0] in self._addresses and peer[1] == self._port
        return False

    def _shut(self, fd: int, inode: str) -> None:
        """Shuts a copy of the descriptor, after looking again: the number may have been given to another socket."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as copy:
            if _inode(copy.fileno()) == inode:
                copy.shutdown(socket.SHUT_RDWR)


def _inodes() -> dict[str, int]:
    """Every socket of this process: inode -> descriptor."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for entry in _FDS.iterdir():
            inode = _inode(int(entry.name))
            if inode is not None:
                found[inode] = int(entry.name)
    return found


def _inode(fd: int) -> str | None:
    try:
        link = str((_FDS / str(fd)).readlink())
    except OSError:
        return None
    return link if link.startswith("socket:") else None
