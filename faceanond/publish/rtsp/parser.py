"""Bytes from a client become messages. Pure and incremental: it keeps at most one unfinished message.

The rule: what is not clearly RTSP is refused at the first byte, line or header that shows it, so that nobody makes
the server wait or remember.
"""

from __future__ import annotations

import re

from faceanond.publish.rtsp.messages import Interleaved, Request, RtspError

MAX_HEAD = 8 * 1024
"""Bytes of request line and headers; players send under 1000."""
MAX_HEADERS = 64
MAX_BODY = 4 * 1024
"""Players send no bodies but for parameters."""

ONCE = frozenset(("cseq", "content-length", "session", "authorization"))
"""Headers of which a second one is no continuation but an attempt to be read in two ways."""

_REQUEST_LINE = re.compile(rb"([A-Za-z_]{1,32}) ([\x21-\x7e]{1,2048}) RTSP/(\d)\.(\d)\r\n")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})[ \t]*:[ \t]*([\x20-\x7e\t]*)")


class Parser:
    """One connection's input."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._request: Request | None = None
        self._body = 0

    @property
    def pending(self) -> int:
        """Bytes of the unfinished message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Takes what was received; then call `next` until it returns None."""
        self._buffer += data

    def next(self) -> Request | Interleaved | None:
        """The next whole message; None when more bytes are needed.

        Raises RtspError for anything malformed or too large; the connection cannot be used after that.
        """
        if self._request is None:
            if self._buffer.startswith((b"\r", b"\n")):
                self._buffer = self._buffer.lstrip(b"\r\n")
            if not self._buffer:
                return None
            if self._buffer[0] == 0x24:
                return self._interleaved()
            self._request = self._head()
            if self._request is None:
                return None
        if len(self._buffer) < self._body:
            return None
        request, self._request = self._request, None
        body = bytes(self._buffer[: self._body])
        del self._buffer[: self._body]
        return Request(request.method, request.url, request.headers, body)

    def _interleaved(self) -> Interleaved | None:
        if len(self._buffer) < 4:
            return None
        end = 4 + int.from_bytes(self._buffer[2:4], "big")
        if len(self._buffer) < end:
            return None
        message = Interleaved(self._buffer[1], bytes(self._buffer[4:end]))
        del self._buffer[:end]
        return message

    def _head(self) -> Request | None:
        line_end = self._buffer.find(b"\n", 0, MAX_HEAD)
        if line_end < 0:
            self._refuse_if_too_long()
            # A line that begins like no method will not become one.
            if not re.match(rb"[A-Za-z_]{1,32}(?:$| )", self._buffer):
                raise RtspError(400, "not a request line")
            return None
        line = _REQUEST_LINE.fullmatch(self._buffer, 0, line_end + 1)
        if line is None:
            raise RtspError(400, "not a request line")
        if line[3] != b"1":
            raise RtspError(505)
        method, url = line[1].decode("ascii"), line[2].decode("ascii")
        end = self._buffer.find(b"\r\n\r\n", line_end - 1, MAX_HEAD)
        if end < 0:
            self._refuse_if_too_long()
            return None
        headers = _headers(bytes(self._buffer[line_end + 1 : end + 2]))
        del self._buffer[: end + 4]
        self._body = _content_length(headers)
        return Request(method, url, headers)

    def _refuse_if_too_long(self) -> None:
        if len(self._buffer) >= MAX_HEAD:
            raise RtspError(400, "the headers are too long")


def _headers(block: bytes) -> dict[str, str]:
    lines = block.decode("latin-1").split("\r\n")[:-1]
    if len(lines) > MAX_HEADERS:
        raise RtspError(400, "too many headers")
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise RtspError(400, "a malformed header")
        name = match[1].lower()
        if name in headers and name in ONCE:
            raise RtspError(400, f"{name} given twice")
        value = match[2].strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _content_length(headers: dict[str, str]) -> int:
    value = headers.get("content-length", "0")
    if not value.isascii() or not value.isdigit():
        raise RtspError(400, "a malformed Content-Length")
    if len(value) > 9 or int(value) > MAX_BODY:
        raise RtspError(413)
    return int(value)
