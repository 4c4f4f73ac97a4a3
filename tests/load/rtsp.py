"""An RTSP reader over TCP that decodes nothing."""

from __future__ import annotations

import asyncio
import time

from tests.load.counting import Arrivals

READ = 256 * 1024


class Reader:
    """One player of one camera; `run` reads until it is cancelled or the server ends."""

    def __init__(self, port: int, camera: str) -> None:
        self.arrivals = Arrivals()
        self.asked = 0.0
        """When it began to connect (monotonic)."""
        self._port = port
        self._url = f"rtsp://127.0.0.1:{port}/{camera}"
        self._session = ""
        self._cseq = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def join(self) -> None:
        """Connects and plays. Raises ConnectionError when the server refuses."""
        self.asked = time.monotonic()
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=READ)
        await self._ask("DESCRIBE", "Accept: application/sdp")
        answer = await self._ask("SETUP", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", path="/trackID=0")
        self._session = next(line for line in answer if line.lower().startswith("session:")).split(";")[0]
        await self._ask("PLAY", self._session)

    async def run(self) -> None:
        """Counts what comes."""
        assert self._reader is not None
        buffer = b""
        while data := await self._reader.read(READ):
            buffer = self._count(buffer + data)

    async def leave(self) -> None:
        """TEARDOWN, without waiting for the answer behind the packets, then closes."""
        assert self._writer is not None
        self._write("TEARDOWN", self._session)
        self._writer.close()

    def vanish(self) -> None:
        """Cuts the connection (RST)."""
        assert self._writer is not None
        self._writer.transport.abort()

    def _count(self, data: bytes) -> bytes:
        """Counts the whole packets; returns the rest."""
        place = 0
        while len(data) - place >= 4:
            if data[place] != 0x24:
                end = data.find(b"\r\n\r\n", place)
                if end < 0:
                    break
                place = end + 4
                continue
            end = place + 4 + int.from_bytes(data[place + 2 : place + 4], "big")
            if end > len(data):
                break
            if data[place + 1] == 0:
                self.arrivals.packet(data[place + 4 : end])
            place = end
        return data[place:]

    def _write(self, method: str, *headers: str, path: str = "") -> None:
        assert self._writer is not None
        self._cseq += 1
        lines = (f"{method} {self._url}{path} RTSP/1.0", f"CSeq: {self._cseq}", *headers, "", "")
        self._writer.write("\r\n".join(lines).encode())

    async def _ask(self, method: str, *headers: str, path: str = "") -> list[str]:
        assert self._reader is not None
        self._write(method, *headers, path=path)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        length = next((int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:")), 0)
        await self._reader.readexactly(length)
        if " 200 " not in head[0]:
            raise ConnectionError(f"{method}: {head[0]}")
        return head
