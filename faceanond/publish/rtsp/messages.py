"""What travels over an RTSP connection (RFC 2326): requests, responses, and binary data in between. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

REASONS = {
    451: "Parameter Not Understood",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    505: "RTSP Version Not Supported",
    551: "Option not supported",
}
"""The status codes that HTTP does not have, or means otherwise."""


Headers = Mapping[str, str | tuple[str, ...]]
"""By name; several values become as many lines."""


class RtspError(Exception):
    """A request that is answered with an error: its status, and headers that belong to it."""

    def __init__(self, status: int, message: str = "", *, headers: Headers | None = None) -> None:
        self.status = status
        self.headers = dict(headers or {})
        super().__init__(message or reason(status))


def reason(status: int) -> str:
    """The phrase beside a status code."""
    return REASONS.get(status) or HTTPStatus(status).phrase


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. Header names are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str:
        """A header's value; empty when absent."""
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True, slots=True)
class Interleaved:
    """Binary data in the middle of the conversation (10.12): RTP or RTCP of one channel."""

    channel: int
    data: bytes

    def encode(self) -> bytes:
        return b"$" + bytes((self.channel,)) + len(self.data).to_bytes(2, "big") + self.data


@dataclass(frozen=True, slots=True)
class Response:
    """What the server answers."""

    status: int = 200
    headers: Headers = field(default_factory=dict)
    body: bytes = b""

    def encode(self, cseq: str) -> bytes:
        """As bytes; `cseq` is the request's, empty when it had none."""
        lines = [f"RTSP/1.0 {self.status} {reason(self.status)}"]
        if cseq:
            lines.append(f"CSeq: {cseq}")
        for name, value in self.headers.items():
            lines.extend(f"{name}: {one}" for one in ((value,) if isinstance(value, str) else value))
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("ascii", "replace") + self.body
