"""Inputs for the running daemon's RTSP port and for its media sockets."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import struct
import time
from typing import Self

import aiohttp

from tests.fuzz.daemon import CAMERA, Running
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import REPORTS, conversation
from tests.load.webrtc import Viewer, client

ENDS = 5.0
"""Seconds for the server to end a connection whose client has said all that it will."""
REPLACED_AFTER = 3.0
"""Seconds without a packet after which a viewer is taken for one that the daemon has given up."""


class RtspSocket:
    """Conversations; the server's answers are read, and the session's name is put where it belongs."""

    name, deadline, at_once = "rtsp-socket", 20.0, 8

    def __init__(self, daemon: Running) -> None:
        self._daemon = daemon

    def make(self, chance: random.Random) -> bytes:
        return bytes([chance.randrange(2)]) + conversation(chance)

    async def run(self, data: bytes) -> None:
        """The first byte says whether it waits for each answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._daemon.rtsp)
        waits, pieces = bool(data[0]), re.split(rb"(?=\b[A-Z_]{4,13} rtsp://)", data[1:])
        session = b"0123456789abcdef"
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                for piece in pieces:
                    writer.write(piece.replace(b"SESSION", session))
                    if waits and piece:
                        with contextlib.suppress(TimeoutError):
                            got = await asyncio.wait_for(reader.read(65536), 0.3)
                            found = re.search(rb"Session: (\w+)", got)
                            session = found[1] if found else session
                writer.write_eof()
                async with asyncio.timeout(ENDS):
                    while await reader.read(65536):
                        pass
        except TimeoutError:
            raise AssertionError("the server does not end a connection that is over") from None
        finally:
            writer.transport.abort()


class RtspUdp:
    """A player over UDP that sends anything but RTCP to the server's RTCP port."""

    name, deadline, at_once = "rtsp-udp", 20.0, 4

    def __init__(self, daemon: Running) -> None:
        self._daemon = daemon

    def make(self, chance: random.Random) -> bytes:
        return _many([mutated(chance.choice(REPORTS), chance, REPORTS)[:1400] for _ in range(20)])

    async def run(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._daemon.rtsp)
        rtcp, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        port = rtcp.get_extra_info("sockname")[1]
        try:
            url = f"rtsp://127.0.0.1:{self._daemon.rtsp}/{CAMERA}"
            setup = (
                f"SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;unicast;client_port=9-{port}\r\n\r\n"
            )
            writer.write(setup.encode())
            answer = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
            ports, session = re.search(r"server_port=\d+-(\d+)", answer), re.search(r"Session: (\w+)", answer)
            if ports is None or session is None:
                raise AssertionError(f"SETUP over UDP was answered with {answer[:200]}")
            writer.write(f"PLAY {url} RTSP/1.0\r\nCSeq: 2\r\nSession: {session[1]}\r\n\r\n".encode())
            for packet in _apart(data):
                rtcp.sendto(packet, ("127.0.0.1", int(ports[1])))
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        finally:
            rtcp.close()
            writer.transport.abort()


class Media:
    """A viewer whose browser has gone mad: RTCP that is encrypted well and makes no sense, and every other datagram.

    It goes on with the same session as long as the daemon does; being thrown out is no defect, a traceback is.
    """

    name, deadline, at_once = "media", 30.0, 1

    def __init__(self, daemon: Running) -> None:
        self._url = f"http://127.0.0.1:{daemon.http}"
        self._stack = contextlib.AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None
        self._viewer: Viewer | None = None
        self._packets, self._since, self._joined = 0, 0.0, 0
        self._stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stranger.setblocking(False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()
        self._stranger.close()

    async def stop(self) -> None:
        """Leaves; the next input joins anew."""
        if self._viewer is not None:
            await self._viewer.close()
            self._viewer = None
        await self._stack.aclose()

    def make(self, chance: random.Random) -> bytes:
        """A kind and a datagram, thirty times."""
        return _many([_datagram(chance) for _ in range(30)])

    async def run(self, data: bytes) -> None:
        viewer = await self._alive()
        for packet in _apart(data):
            kind, body = packet[0], packet[1:]
            if kind == _STRANGE:
                # From an address that the daemon knows nothing of.
                self._stranger.sendto(body[:1400], viewer.remote)
            elif kind == _PLAIN:
                await viewer.send_datagram(body.replace(b"USER", viewer.stun_user)[:1400])
            else:
                body = body.replace(b"SSRC", viewer.ssrc.to_bytes(4, "big"))
                # libsrtp refuses what has no header of the kind.
                with contextlib.suppress(Exception):
                    protect = viewer.protect_rtcp if kind == _RTCP else viewer.protect_rtp
                    await viewer.send_datagram(protect(body[:1400]))
        await viewer.report()
        await asyncio.sleep(0.02)

    async def _alive(self) -> Viewer:
        """The viewer, or a new one when nothing came for a while."""
        now = time.monotonic()
        viewer = self._viewer
        if viewer is not None and viewer.arrivals.packets != self._packets:
            self._packets, self._since = viewer.arrivals.packets, now
        if viewer is None or now - self._since > REPLACED_AFTER:
            await self.stop()
            self._joined += 1
            self._http = await self._stack.enter_async_context(client(self._joined % 250))
            self._viewer = viewer = Viewer(self._http, self._url, CAMERA)
            await viewer.join()
            while viewer.arrivals.packets == 0:  # noqa: ASYNC110 (no event; the deadline is around it)
                await asyncio.sleep(0.02)
            self._packets, self._since = viewer.arrivals.packets, time.monotonic()
        return viewer


_PLAIN, _STRANGE, _RTCP, _RTP = range(4)
STUN = (
    b"\x00\x01\x00\x00\x21\x12\xa4\x42" + b"t" * 12,
    b"\x00\x01\x00\x10\x21\x12\xa4\x42" + b"t" * 12 + b"\x00\x06\x00\x04USER\x00\x24\x00\x00",
    b"\x00\x01\x00\x1c\x21\x12\xa4\x42" + b"t" * 12 + b"\x00\x06\x00\x04USER\x00\x08\x00\x14" + b"i" * 20,
    b"\x01\x01\x00\x0c\x21\x12\xa4\x42" + b"t" * 12 + b"\x00\x20\x00\x08\x00\x01\x01\x01\x7f\x00\x00\x01",
    b"\x01\x11\x00\x08\x21\x12\xa4\x42" + b"t" * 12 + b"\x00\x09\x00\x04\x00\x00\x04\x01",
    b"\x00\x01\x00\x08\x21\x12\xa4\x42" + b"t" * 12 + b"\x80\x28\x00\x04\x00\x00\x00\x00",
)
DTLS = (
    b"\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x01\x00\x0c\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\x15\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x09\x00\x02\x01\x00",
    b"\x17\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x09\x00\x02xx",
)  # fmt: skip
OTHER = (b"", b"\x00", b"\x80", b"\x80\xc8", b"\x40" * 40, b"\xff" * 30)


def _datagram(chance: random.Random) -> bytes:
    match chance.randrange(8):
        case 0:
            return bytes([chance.choice((_PLAIN, _STRANGE))]) + mutated(chance.choice(STUN), chance, STUN)
        case 1:
            return bytes([chance.choice((_PLAIN, _STRANGE))]) + mutated(chance.choice((*DTLS, *OTHER)), chance, DTLS)
        case 2:
            rtp = struct.pack(
                "!BBHII", chance.choice((0x80, 0x90, 0xBF)), chance.randrange(128), chance.randrange(65536), 1, 2
            )
            return bytes([_RTP]) + mutated(rtp + b"\xbe\xde\x00\x01\x10\x30\x00\x00", chance)
        case _:
            report = chance.choice(REPORTS).replace(bytes.fromhex("5b1e7d44"), b"SSRC")
            return bytes([_RTCP]) + mutated(report, chance, REPORTS)


def _many(packets: list[bytes]) -> bytes:
    """One input of several, each with its length."""
    return b"".join(len(packet).to_bytes(4, "big") + packet for packet in packets)


def _apart(data: bytes) -> list[bytes]:
    packets, place = [], 0
    while place + 4 < len(data):
        end = place + 4 + int.from_bytes(data[place : place + 4], "big")
        packets.append(data[place + 4 : end])
        place = end
    return packets
