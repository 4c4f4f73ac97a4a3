"""Inputs for the running daemon's HTTP port: raw bytes, well-formed requests to every route, and offers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re

from tests.fuzz.daemon import CAMERA, Running
from tests.fuzz.mutate import NUMBERS, STRANGE, mutated
from tests.fuzz.targets import OFFERS, SDP_WORDS, conversation

SILENCE = 0.15
"""Seconds after which a request that may be incomplete is taken for one: waiting is what the server must do then."""
ANSWER = 10.0
"""Seconds for the answer to a whole request; an offer's includes the gathering of candidates."""
MOST = 64 * 1024
"""Bytes of an answer that are read: a stream has no end."""
METHODS = (b"GET", b"POST", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"PUT", b"TRACE", b"CONNECT", b"gEt", b"FOO")
NAMES = (CAMERA.encode(), b"nobody", b"..", b"%2e%2e%2f", b"%00", b"%ff%fe", b"a" * 2000, b"yard/", b"YARD", b"-", b"%")
HEADERS = (
    (b"Accept", (b"application/sdp", b"*/*;q=0", b"text/html, */*", b";;;,,q=", b"application/*;q=x")),
    (b"Content-Type", (b"application/sdp", b"application/sdp; charset=utf-99", b"text/plain")),
    (b"Content-Type", (b"application/trickle-ice-sdpfrag", b"application/json", b";")),
    (b"Origin", (b"https://evil.example", b"null", b"http://[::1", b"http://127.0.0.1")),
    (b"Authorization", (b"Bearer x", b"Bearer ", b"Basic OjpAQA==", b'Digest username="a"', b"\xff\xff")),
    (b"If-Match", (b'"1"', b"*", b'W/"x', b'"')), (b"If-None-Match", (b'"1"', b"*", b'W/"x', b"," * 500)),
    (b"Range", (b"bytes=0-", b"bytes=-1", b"bytes=9-1", b"bytes=" + b"0-1," * 300, b"lines=1")),
    (b"If-Modified-Since", (b"Fri, 27 Nov 2026 04:00:00 GMT", b"yesterday", b"Fri, 99 Nov 99999 99:99:99 GMT")),
    (b"X-Forwarded-For", (b"10.0.0.1", b"x", b"::1")), (b"Cookie", (b"a=b", b"=" * 100, b'a="\\')),
    (b"Upgrade", (b"websocket", b"h2c")), (b"Sec-WebSocket-Key", (b"dGhlIHNhbXBsZSBub25jZQ==", b"x")),
    (b"Sec-WebSocket-Version", (b"13", b"x")), (b"Accept-Encoding", (b"gzip, br", b"identity;q=0", b"x" * 300)),
    (b"Expect", (b"100-continue", b"x")), (b"Content-Encoding", (b"gzip", b"deflate", b"x")),
)  # fmt: skip
HOSTS = (b"127.0.0.1", b"localhost:8080", b"[::1]:80", b"evil.example", b"", b"[", b"a@b", b"127.0.0.1:99999", b"\xff")
SOURCES = 4000
"""Loopback addresses that requests come from, so that the limit of offers by address does not end the fuzzing."""


class Http:
    """What the three have in common: a connection from one of many addresses."""

    deadline, at_once = 30.0, 8

    def __init__(self, daemon: Running) -> None:
        self._daemon = daemon
        self._sent = 0

    async def _exchange(self, data: bytes, patience: float) -> bytes:
        """Sends, and reads what comes until silence, the end or MOST; raises AssertionError for no HTTP."""
        self._sent += 1
        source = self._sent % SOURCES
        address = f"127.1.{source // 250}.{source % 250 + 1}"
        reader, writer = await asyncio.open_connection("127.0.0.1", self._daemon.http, local_addr=(address, 0))
        answer = bytearray()
        try:
            with contextlib.suppress(ConnectionError, TimeoutError):
                writer.write(data)
                while len(answer) < MOST:
                    chunk = await asyncio.wait_for(reader.read(MOST), patience)
                    if not chunk:
                        break
                    answer += chunk
                    patience = SILENCE
        finally:
            writer.transport.abort()
        _check(bytes(answer))
        return bytes(answer)


class HttpBytes(Http):
    """Requests with bytes changed anywhere, several on a connection."""

    name = "http-bytes"

    def make(self, chance: random.Random) -> bytes:
        pieces = [_request(chance, self._daemon.routes, plain=True) for _ in range(chance.choice((1, 1, 2, 4)))]
        if chance.random() < 0.05:
            pieces.append(conversation(chance))
        return mutated(
            b"".join(pieces), chance, (b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", b"HTTP/9.9"), most=6
        )

    async def run(self, data: bytes) -> None:
        await self._exchange(data, SILENCE)


class HttpRoutes(Http):
    """Well-framed requests with odd contents: each must be answered."""

    name = "http-routes"

    def make(self, chance: random.Random) -> bytes:
        return _request(chance, self._daemon.routes)

    async def run(self, data: bytes) -> None:
        answer = await self._exchange(data, ANSWER)
        if not answer:
            raise AssertionError("a whole request was not answered")


class Whep(Http):
    """Offers that are nearly right, to a camera that is there; every session that comes of it is ended again."""

    name = "whep"

    def make(self, chance: random.Random) -> bytes:
        offer = chance.choice(OFFERS)
        if chance.random() < 0.9:
            # The browsers' audio makes most changes meaningless.
            offer = mutated(offer, chance, SDP_WORDS, most=2)
        return offer

    async def run(self, data: bytes) -> None:
        answer = await self._exchange(_post(b"/whep/" + CAMERA.encode(), data), ANSWER)
        if not answer:
            raise AssertionError("an offer was not answered")
        status = int(answer.split(b" ", 2)[1])
        if status not in (201, 400, 406, 413, 429):
            raise AssertionError(f"an offer was answered with {answer[:300]!r}")
        if status == 201:
            place = re.search(rb"(?im)^location: (\S+)\r$", answer)
            if place is None:
                raise AssertionError("201 without Location")
            trickled = await self._exchange(_patch(place[1], data), ANSWER)
            if not trickled.startswith(tuple(b"HTTP/1.1 %d" % code for code in (204, 400, 404, 422, 429))):
                raise AssertionError(f"PATCH was answered with {trickled[:300]!r}")
            ended = await self._exchange(b"DELETE " + place[1] + _HEAD + b"\r\n", ANSWER)
            if not ended.startswith((b"HTTP/1.1 204", b"HTTP/1.1 200", b"HTTP/1.1 404")):
                raise AssertionError(f"DELETE was answered with {ended[:300]!r}")


_HEAD = b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"


def _post(path: bytes, body: bytes) -> bytes:
    head = b"POST " + path + _HEAD + b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


def _patch(session: bytes, body: bytes) -> bytes:
    """What follows an offer, of the same lines: its candidates, among what has no business there."""
    body = body.partition(b"a=")[2]
    head = b"PATCH " + session + _HEAD + b"Content-Type: application/trickle-ice-sdpfrag\r\nIf-Match: *\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % (len(body) + 2) + b"a=" + body


def _request(chance: random.Random, routes: list[tuple[str, str]], *, plain: bool = False) -> bytes:
    """A whole request to one of the routes; `plain` leaves the connection open."""
    method, pattern = chance.choice(routes)
    path = re.sub(rb"\{[^}]*\}", lambda _: chance.choice(NAMES), pattern.encode())
    if chance.random() < 0.2:
        path += chance.choice(
            (b"?", b"?a=b&a=%ff", b"//", b"/..", b"?from=-1&to=x", b"?token=x", b"?" + b"a=b&" * 500, b"%")
        )
    if chance.random() < 0.2:
        path = path.replace(b"yard", mutated(b"yard", chance).translate(None, b" \r\n\x00") or b"x")
    word = method.encode() if chance.random() < 0.6 and method != "*" else chance.choice(METHODS)
    lines = [word + b" " + path + b" HTTP/1.1"]
    lines.append(b"Host: " + (b"127.0.0.1" if chance.random() < 0.9 else chance.choice(HOSTS)))
    for name, values in chance.sample(HEADERS, chance.choice((0, 1, 2, 3))):
        value = chance.choice(values)
        if chance.random() < 0.1:
            value = chance.choice((*NUMBERS, *STRANGE)).translate(None, b"\r\n\x00")
        lines.append(name + b": " + value)
    body = b""
    if word in (b"POST", b"PATCH", b"PUT") or chance.random() < 0.1:
        seed = chance.choice(OFFERS)
        body = (
            mutated(seed, chance, SDP_WORDS)
            if chance.random() < 0.5
            else chance.choice((b"", b"{}", b"x" * 70_000, b"\xff"))
        )
        lines.append(b"Content-Length: %d" % len(body))
    if not plain:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _check(answer: bytes) -> None:
    if answer and not re.match(rb"HTTP/\d\.\d [1-5]\d\d ", answer):
        raise AssertionError(f"no HTTP: {answer[:200]!r}")
    for status in re.findall(rb"(?:^|\r\n)HTTP/\d\.\d (5\d\d) ", answer):
        if status != b"503":
            raise AssertionError(f"an internal error: {answer[:300]!r}")
