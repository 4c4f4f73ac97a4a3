"""A scripted RTSP media server for the tests: it records, and misbehaves where it is told to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

HANG, CLOSE = "hang", "close"
"""Instead of an answer: say nothing, or hang up."""


@dataclass
class Asked:
    """One request that came."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass
class MediaServer:
    """`answers` replaces the answer to a method: its bytes (with CSEQ and CRLF as placeholders), HANG or CLOSE.

    A callable is given the request and returns one of these, or None for the usual answer. With `deaf_after` it stops
    reading when it has recorded so many packets.
    """

    answers: dict[str, str | Callable[[Asked], str | None]] = field(default_factory=dict)
    session: str = "4711;timeout=30"
    public: str = "OPTIONS, ANNOUNCE, SETUP, RECORD, GET_PARAMETER, TEARDOWN"
    deaf_after: int | None = None
    greeting: bytes = b""
    asked: list[Asked] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    packets: list[tuple[int, bytes]] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    port: int = 0
    writer: asyncio.StreamWriter | None = None

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.writer = writer
        try:
            writer.write(self.greeting)
            while True:
                first = await reader.readexactly(1)
                if first == b"$":
                    head = await reader.readexactly(3)
                    self.packets.append((head[0], await reader.readexactly(int.from_bytes(head[1:], "big"))))
                    if self.deaf_after is not None and len(self.packets) >= self.deaf_after:
                        await asyncio.Event().wait()
                    continue
                request = await self._request(first, reader)
                if request is None:
                    continue
                self.asked.append(request)
                if not self._answer(request, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()

    async def _request(self, first: bytes, reader: asyncio.StreamReader) -> Asked | None:
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        if head.startswith("RTSP/"):
            self.replies.append(head.replace("\r\n", " ").strip())
            return None
        line, *lines = head.split("\r\n")[:-2]
        method, url, _ = line.split(" ")
        headers = dict(one.split(": ", 1) for one in lines)
        body = await reader.readexactly(int(headers.get("Content-Length", "0")))
        return Asked(method, url, headers, body)

    def _answer(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        answer = self.answers.get(request.method)
        if callable(answer):
            answer = answer(request)
        if answer == HANG:
            return True
        if answer == CLOSE:
            return False
        if answer is None:
            answer = self._usual(request)
        text = answer.replace("CSEQ", f"CSeq: {request.headers['CSeq']}").replace("CRLF", "\r\n")
        writer.write(text.encode("latin-1"))
        return True

    def _usual(self, request: Asked) -> str:
        extra = ""
        if request.method == "OPTIONS":
            extra = f"Public: {self.public}CRLF"
        elif request.method == "SETUP":
            extra = f"Transport: {request.headers['Transport']}CRLFSession: {self.session}CRLF"
        return f"RTSP/1.0 200 OKCRLFCSEQCRLF{extra}CRLF"


@asynccontextmanager
async def serving(server: MediaServer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Runs the server; yields the URL at which a camera is pushed to it."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await server.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            tasks.discard(task)

    # A small window, so that a server which does not read is noticed after some pictures.
    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield f"rtsp{'s' if tls else ''}://127.0.0.1:{server.port}/yard"
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()
