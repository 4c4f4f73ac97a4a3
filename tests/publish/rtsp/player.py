"""A minimal RTSP player for the tests: one connection, one request at a time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from faceanond.publish.rtsp.digest import REALM, Digest

TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Player:
    """What a camera's viewer does, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, base: str) -> None:
        self.reader = reader
        self.writer = writer
        self.base = base
        self.session = ""
        self._cseq = 0

    async def ask(self, method: str, path: str = "/yard", *, body: bytes = b"", **headers: str) -> Answer:
        """Sends a request and returns the answer; packets in between are thrown away."""
        self._cseq += 1
        named = {"CSeq": str(self._cseq), **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.session and "Session" not in named:
            named["Session"] = self.session
        if body:
            named["Content-Length"] = str(len(body))
        url = path if path == "*" else self.base + path
        lines = [f"{method} {url} RTSP/1.0", *(f"{name}: {value}" for name, value in named.items() if value)]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        answer = await self.answer()
        assert answer.headers.get("CSeq") == str(self._cseq)
        self.session = answer.headers.get("Session", self.session).partition(";")[0]
        return answer

    async def answer(self) -> Answer:
        """The next answer."""
        while (first := await self.reader.readexactly(1)) == b"$":
            await self._data()
        head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers.get("Content-Length", "0")))
        return Answer(int(status.split(" ")[1]), headers, body)

    async def packet(self) -> tuple[int, bytes]:
        """The next interleaved packet: channel and contents. Nothing but packets may come."""
        assert await self.reader.readexactly(1) == b"$"
        return await self._data()

    async def rtp(self) -> bytes:
        """The next RTP packet; reports in between are thrown away."""
        while True:
            channel, data = await self.packet()
            if channel == 0:
                return data

    async def _data(self) -> tuple[int, bytes]:
        head = await self.reader.readexactly(3)
        return head[0], await self.reader.readexactly(int.from_bytes(head[1:], "big"))

    async def play(self, transport: str = TCP) -> Answer:
        """SETUP and PLAY."""
        answer = await self.ask("SETUP", "/yard/trackID=0", Transport=transport)
        assert answer.status == 200
        return await self.ask("PLAY")

    async def ended(self) -> bool:
        """Whether the server has hung up; reads what is left."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        return True

    async def ask_as(
        self, name: str, password: str, method: str, path: str = "/yard", *, algorithm: str = "MD5", **headers: str
    ) -> Answer:
        """Asks for the challenge, answers it and sends the request again."""
        first = await self.ask(method, path, **headers)
        if first.status != 401:
            return first
        nonce = first.headers["WWW-Authenticate"].split('nonce="')[1].split('"')[0]
        given = Digest(name, REALM, nonce, self.base + path, "", algorithm)
        proof = given.expected(password, method)
        login = (
            f'Digest username="{name}", realm="{REALM}", nonce="{nonce}", uri="{given.uri}", response="{proof}", '
            f"algorithm={algorithm}"
        )
        return await self.ask(method, path, Authorization=login, **headers)


@asynccontextmanager
async def connected(port: int, tls: ssl.SSLContext | None = None, *, local: str | None = None) -> AsyncIterator[Player]:
    """A player's connection, inside TLS with a context, from another of this machine's addresses with `local`."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, local_addr=None if local is None else (local, 0)
    )
    try:
        yield Player(reader, writer, f"rtsp{'s' * (tls is not None)}://127.0.0.1:{port}")
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
