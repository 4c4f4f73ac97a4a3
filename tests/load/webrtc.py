"""A WebRTC viewer that decodes nothing: ICE, DTLS and SRTP as every browser does them, then it only counts.

Packets are decrypted until the first picture is there; after that their headers, which SRTP leaves readable, are
enough. Once a second it sends a receiver report, without which the daemon takes it for dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterable

import aiohttp
import aioice
from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport

from tests.load.counting import Arrivals

REPORT_EVERY = 1.0
"""Seconds, as browsers do."""
SO_RCVBUFFORCE = 33
BUFFER = 4 * 1024 * 1024
"""Bytes of receive buffer, so that a loss is the daemon's and not ours; needs root, else the system's limit holds."""
LOOPBACK = "127.0.0.1"
RTCP_KINDS = range(192, 224)


class JoinError(Exception):
    """The daemon did not let the viewer in; `status` and `headers` are the answer's."""

    def __init__(self, status: int, headers: dict[str, str], text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.headers = headers


class _Agent(aioice.Connection):
    """ICE on loopback alone; media do not go through its queue."""

    media: Callable[[bytes], None] | None = None

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[aioice.Candidate]:
        return await super().get_component_candidates(component, [LOOPBACK], timeout)

    def data_received(self, data: bytes, component: int) -> None:
        if self.media is not None and data and data[0] >> 6 == 2:
            self.media(data)
        else:
            super().data_received(data, component)


class _Link:
    """What aiortc's DTLS transport wants of an ICE transport."""

    role = "controlling"

    def __init__(self, agent: _Agent) -> None:
        self._recv = agent.recv
        self._send = agent.send


class Viewer:
    """One viewer of one camera."""

    certificate: RTCCertificate | None = None
    """Shared by all viewers: making one costs as much as the rest of joining."""

    def __init__(self, http: aiohttp.ClientSession, url: str, camera: str) -> None:
        self.arrivals = Arrivals()
        self.asked = 0.0
        """When the offer was posted (monotonic)."""
        self.location = ""
        self.ssrc = 0
        self._http = http
        self._url = url
        self._camera = camera
        self._agent = _Agent(ice_controlling=True)
        if Viewer.certificate is None:
            Viewer.certificate = RTCCertificate.generateCertificate()
        self._dtls = RTCDtlsTransport(_Link(self._agent), [Viewer.certificate])
        self._early: list[bytes] = []
        self._own_ssrc = secrets.randbits(32)

    async def offer(self) -> str:
        """The offer's text; opens the sockets."""
        await self._agent.gather_candidates()
        print_ = next(one for one in self._dtls.getLocalParameters().fingerprints if one.algorithm == "sha-256")
        lines = (
            "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
            "m=video 9 UDP/TLS/RTP/SAVPF 102", "c=IN IP4 0.0.0.0", "a=mid:0", "a=recvonly", "a=rtcp-mux",
            f"a=ice-ufrag:{self._agent.local_username}", f"a=ice-pwd:{self._agent.local_password}",
            f"a=fingerprint:sha-256 {print_.value}", "a=setup:actpass", "a=rtpmap:102 H264/90000",
            "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            "a=rtcp-fb:102 nack", "a=rtcp-fb:102 nack pli",
        )  # fmt: skip
        return "\r\n".join(lines) + "\r\n"

    async def post(self, offer: str) -> str:
        """Sends the offer; the answer. Raises JoinError."""
        self.asked = time.monotonic()
        headers = {"Content-Type": "application/sdp"}
        async with self._http.post(f"{self._url}/whep/{self._camera}", data=offer, headers=headers) as response:
            text = await response.text()
            if response.status != 201:
                raise JoinError(response.status, dict(response.headers), text)
            self.location = response.headers["Location"]
            return text

    async def join(self) -> None:
        """Offer, answer, ICE, DTLS. Raises JoinError, or ConnectionError when the way to the daemon fails."""
        try:
            await self._connect(await self.post(await self.offer()))
        except BaseException:
            await self.close()
            raise

    async def _connect(self, answer: str) -> None:
        self._agent.media = self._media
        self._agent.remote_username = _attribute(answer, "ice-ufrag")
        self._agent.remote_password = _attribute(answer, "ice-pwd")
        for candidate in re.findall(r"^a=candidate:(.*?)\r?$", answer, re.MULTILINE):
            await self._agent.add_remote_candidate(aioice.Candidate.from_sdp(candidate))
        await self._agent.add_remote_candidate(None)
        for protocol in self._agent._protocols:
            _widen(protocol.transport.get_extra_info("socket"))
        await self._agent.connect()
        fingerprint = RTCDtlsFingerprint("sha-256", _attribute(answer, "fingerprint:sha-256", separator=" "))
        await self._dtls.start(RTCDtlsParameters([fingerprint]))
        if self._dtls.state != "connected":
            raise ConnectionError(f"DTLS {self._dtls.state}")
        early, self._early = self._early, []
        for data in early:
            self._media(data)

    def _media(self, data: bytes) -> None:
        if data[1] in RTCP_KINDS:
            return
        if self.arrivals.first_picture is None:
            if self._dtls._rx_srtp is None or self._dtls.state != "connected":
                self._early.append(data)
                return
            data = self._dtls._rx_srtp.unprotect(data)
            self.ssrc = int.from_bytes(data[8:12], "big")
        self.arrivals.packet(data)

    async def report(self) -> None:
        """Sends one receiver report."""
        await self.send_rtcp(
            struct.pack(
                "!BBHIIIIIII", 0x81, 201, 7, self._own_ssrc, self.ssrc, 0, self.arrivals.highest & 0xFFFFFFFF, 0, 0, 0
            )
        )

    async def send_rtcp(self, data: bytes) -> None:
        """Sends these bytes as an RTCP packet, encrypted as one."""
        await self.send_datagram(self.protect_rtcp(data))

    def protect_rtcp(self, data: bytes) -> bytes:
        """Encrypted as SRTCP. Raises for what has not even RTCP's header."""
        return bytes(self._dtls._tx_srtp.protect_rtcp(data))

    def protect_rtp(self, data: bytes) -> bytes:
        """Encrypted as SRTP. Raises for what has not even RTP's header."""
        return bytes(self._dtls._tx_srtp.protect(data))

    @property
    def remote(self) -> tuple[str, int]:
        """Where the daemon sends from and listens."""
        return self._agent._nominated[1].remote_addr

    @property
    def stun_user(self) -> bytes:
        """The name in the daemon's and our connectivity checks."""
        return f"{self._agent.remote_username}:{self._agent.local_username}".encode()

    async def send_datagram(self, data: bytes) -> None:
        """Sends these bytes as they are."""
        with contextlib.suppress(ConnectionError):
            await self._agent.send(data)

    async def leave(self) -> None:
        """As a page does: DELETE, then everything is closed."""
        async with self._http.delete(f"{self._url}{self.location}") as response:
            await response.read()
        await self.close()

    async def close(self) -> None:
        """Says goodbye in DTLS, as a browser whose page is closed, and frees everything."""
        await self._dtls.stop()
        await self._agent.close()

    async def vanish(self) -> None:
        """Is gone without a word."""
        if self._dtls._task is not None:
            self._dtls._task.cancel()
        await self._agent.close()


def _attribute(text: str, name: str, *, separator: str = ":") -> str:
    match = re.search(rf"^a={re.escape(name)}{separator}(\S+)", text, re.MULTILINE)
    if match is None:
        raise ConnectionError(f"the answer has no {name}")
    return match[1]


def _widen(one: socket.socket) -> None:
    try:
        one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    except OSError:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)


@contextlib.asynccontextmanager
async def reporting(viewers: Iterable[Viewer]) -> AsyncIterator[None]:
    """Lets the viewers report once a second while the context lasts. The collection may change meanwhile."""

    async def run() -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY)
            for viewer in tuple(viewers):
                if viewer.ssrc:
                    await viewer.report()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run(), name="receiver reports")
        try:
            yield
        finally:
            task.cancel()


@contextlib.asynccontextmanager
async def client(number: int = 1) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client with a loopback address of its own: the daemon limits offers by address."""
    connector = aiohttp.TCPConnector(local_addr=(f"127.0.{number // 250}.{number % 250 + 1}", 0), limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session
