"""Bytes from a client become requests. Pure and incremental.

The rule: what is not clearly RTSP is refused at the first byte, line or header that shows it, so that nobody makes
the server wait or remember.
"""

from __future__ import annotations

import re

from faceanond.publish.rtsp.framing import Framing
from faceanond.publish.rtsp.messages import Request, RtspError

MAX_HEAD = 8 * 1024
"""Bytes of request line and headers; players send under 1000."""
MAX_HEADERS = 64
MAX_BODY = 4 * 1024
"""Players send no bodies but for parameters."""

ONCE = frozenset(("cseq", "content-length", "session", "authorization"))
"""Headers of which a second one is no continuation but an attempt to be read in two ways."""

_REQUEST_LINE = re.compile(rb"([A-Za-z_]{1,32}) ([\x21-\x7e]{1,2048}) RTSP/(\d)\.(\d)\r\n")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})[ \t]*:[ \t]*([\x20-\x7e\t]*)")


class Parser(Framing[Request]):
    """One connection's input. `next` raises RtspError for anything malformed or too large."""

    def _whole(self, head: Request, body: bytes) -> Request:
        return Request(head.method, head.url, head.headers, body)

    def _head(self, buffer: bytearray) -> tuple[Request, int] | None:
        line_end = buffer.find(b"\n", 0, MAX_HEAD)
        if line_end < 0:
            _refuse_if_too_long(buffer)
            # A line that begins like no method will not become one.
            if not re.match(rb"[A-Za-z_]{1,32}(?:$| )", buffer):
                raise RtspError(400, "not a request line")
            return None
        line = _REQUEST_LINE.fullmatch(buffer, 0, line_end + 1)
        if line is None:
            raise RtspError(400, "not a request line")
        if line[3] != b"1":
            raise RtspError(505)
        method, url = line[1].decode("ascii"), line[2].decode("ascii")
        end = buffer.find(b"\r\n\r\n", line_end - 1, MAX_HEAD)
        if end < 0:
            _refuse_if_too_long(buffer)
            return None
        headers = _headers(bytes(buffer[line_end + 1 : end + 2]))
        del buffer[: end + 4]
        return Request(method, url, headers), _content_length(headers)


def _refuse_if_too_long(buffer: bytearray) -> None:
    if len(buffer) >= MAX_HEAD:
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
