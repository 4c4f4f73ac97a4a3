"""Bytes from an RTSP server become messages. Pure and incremental: it keeps at most one unfinished message.

The rule: whatever the server sends, only so much of it is ever held; what is not RTSP ends the connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from faceanond.errors import PushError, PushFault
from faceanond.publish.rtsp.messages import Interleaved

MAX_HEAD = 16 * 1024
"""Bytes of status line and headers; servers send under 1000."""
MAX_HEADERS = 64
MAX_BODY = 64 * 1024
"""Bytes of a body, which is read and thrown away: no answer to a publisher has one that matters."""

_STATUS_LINE = re.compile(r"RTSP/\d\.\d (\d{3})(?: ([^\r\n]*))?")
_REQUEST_LINE = re.compile(r"([A-Z_]{1,32}) \S{1,2048} RTSP/\d\.\d")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})[ \t]*:[ \t]*([^\r\n\x00]*)")
_START = re.compile(rb"[A-Z_]{1,32}(?:$|[ /])")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Header names are in lower case; a repeated header's values are joined with ", "."""

    status: int
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """A header's value; empty when absent."""
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request from the server's side: rare, and owed an answer with the same `cseq`."""

    method: str
    cseq: str


Message = Reply | Asked | Interleaved


class Replies:
    """One connection's input."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._message: Reply | Asked | None = None
        self._body = 0

    @property
    def pending(self) -> int:
        """Bytes of the unfinished message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Takes what was received; then call `next` until it returns None."""
        self._buffer += data

    def next(self) -> Message | None:
        """The next whole message; None when more bytes are needed.

        Raises PushError for anything malformed or too large; the connection cannot be used after that.
        """
        if self._message is None:
            if self._buffer.startswith((b"\r", b"\n")):
                self._buffer = self._buffer.lstrip(b"\r\n")
            if not self._buffer:
                return None
            if self._buffer[0] == 0x24:
                return self._interleaved()
            self._message = self._head()
            if self._message is None:
                return None
        if len(self._buffer) < self._body:
            return None
        message, self._message = self._message, None
        del self._buffer[: self._body]
        return message

    def _interleaved(self) -> Interleaved | None:
        if len(self._buffer) < 4:
            return None
        end = 4 + int.from_bytes(self._buffer[2:4], "big")
        if len(self._buffer) < end:
            return None
        message = Interleaved(self._buffer[1], bytes(self._buffer[4:end]))
        del self._buffer[:end]
        return message

    def _head(self) -> Reply | Asked | None:
        if _START.match(self._buffer) is None:
            raise _malformed("what it sends is not RTSP")
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD:
                raise _malformed(f"its headers are longer than {MAX_HEAD} bytes")
            return None
        first, *lines = self._buffer[:end].decode("utf-8", "surrogateescape").split("\r\n")
        del self._buffer[: end + 4]
        headers = _headers(lines)
        self._body = _content_length(headers)
        if status := _STATUS_LINE.fullmatch(first):
            return Reply(int(status[1]), _printable(status[2] or ""), headers)
        if request := _REQUEST_LINE.fullmatch(first):
            return Asked(request[1], headers.get("cseq", ""))
        raise _malformed("what it sends is not RTSP")


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise _malformed(f"it sends more than {MAX_HEADERS} headers")
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise _malformed("a header of its answer is malformed")
        name, value = match[1].lower(), match[2].strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _content_length(headers: dict[str, str]) -> int:
    value = headers.get("content-length", "") or "0"
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise _malformed("the Content-Length of its answer is not a number")
    if int(value) > MAX_BODY:
        raise _malformed(f"its answer is longer than {MAX_BODY} bytes")
    return int(value)


def _printable(text: str) -> str:
    """A server's words, fit for a log line and a page."""
    return "".join(char for char in text[:100] if char.isprintable())


def _malformed(what: str) -> PushError:
    return PushError(PushFault.MALFORMED, f"the server is not understood: {what}")
