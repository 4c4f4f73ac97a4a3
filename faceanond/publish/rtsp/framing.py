"""Where a message begins and ends in the bytes of an RTSP connection (RFC 2326, 4 and 10.12). Pure and incremental.

It keeps at most one unfinished message. What a head may say is the subclass's: `parser` for clients, `push/replies` for
servers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from faceanond.publish.rtsp.messages import Interleaved

Head = TypeVar("Head")


class Framing(ABC, Generic[Head]):
    """One connection's input. A subclass reads heads and may raise; the connection cannot be used after that."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._unfinished: tuple[Head, int] | None = None

    @property
    def pending(self) -> int:
        """Bytes of the unfinished message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Takes what was received; then call `next` until it returns None."""
        self._buffer += data

    def next(self) -> Head | Interleaved | None:
        """The next whole message; None when more bytes are needed. Raises what reading its head raises."""
        if self._unfinished is None:
            if self._buffer.startswith((b"\r", b"\n")):
                self._buffer = self._buffer.lstrip(b"\r\n")
            if not self._buffer:
                return None
            if self._buffer[0] == 0x24:
                return self._interleaved()
            self._unfinished = self._head(self._buffer)
            if self._unfinished is None:
                return None
        head, length = self._unfinished
        if len(self._buffer) < length:
            return None
        self._unfinished = None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return self._whole(head, body)

    @abstractmethod
    def _head(self, buffer: bytearray) -> tuple[Head, int] | None:
        """Takes a head from the front of the buffer, with the length of its body; None while it is not all there."""

    def _whole(self, head: Head, body: bytes) -> Head:
        """The message of this head and body."""
        return head

    def _interleaved(self) -> Interleaved | None:
        if len(self._buffer) < 4:
            return None
        end = 4 + int.from_bytes(self._buffer[2:4], "big")
        if len(self._buffer) < end:
            return None
        message = Interleaved(self._buffer[1], bytes(self._buffer[4:end]))
        del self._buffer[:end]
        return message
