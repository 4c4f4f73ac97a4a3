"""Bytes from an RTSP server become messages. Pure and incremental.

The rule: whatever the server sends, only so much of it is ever held; what is not RTSP ends the connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from faceanond.errors import PushError, PushFault
from faceanond.publish.rtsp.framing import Framing
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


class Replies(Framing[Reply | Asked]):
    """One connection's input. `next` raises PushError for anything malformed or too large."""

    def _head(self, buffer: bytearray) -> tuple[Reply | Asked, int] | None:
        if _START.match(buffer) is None:
            raise _malformed("what it sends is not RTSP")
        end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end < 0:
            if len(buffer) >= MAX_HEAD:
                raise _malformed(f"its headers are longer than {MAX_HEAD} bytes")
            return None
        first, *lines = buffer[:end].decode("utf-8", "surrogateescape").split("\r\n")
        del buffer[: end + 4]
        headers = _headers(lines)
        length = _content_length(headers)
        if status := _STATUS_LINE.fullmatch(first):
            return Reply(int(status[1]), printable(status[2] or ""), headers), length
        if request := _REQUEST_LINE.fullmatch(first):
            return Asked(request[1], headers.get("cseq", "")), length
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


def printable(text: str) -> str:
    """A server's words, fit for a log line and a page."""
    return "".join(char for char in text[:100] if char.isprintable())


def _malformed(what: str) -> PushError:
    return PushError(PushFault.MALFORMED, f"the server is not understood: {what}")
