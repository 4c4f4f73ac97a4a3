"""One push over WHIP (RFC 9725): we offer, the server answers, and the same packets go out as to every viewer.

The offer holds all our candidates at once, so that no PATCH is needed. Addresses and ports that the configuration names
for viewers do not matter here: we are the one who calls. The server's own STUN and TURN servers (Link headers) are not
asked; those of the configuration are.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from aiortc import RTCPeerConnection, RTCRtpCodecCapability, RTCSessionDescription

from faceanond.clock import Clock
from faceanond.config.model import WebRtc
from faceanond.errors import PushError, PushFault
from faceanond.publish.deadline import first_of, within
from faceanond.publish.packet import Codec
from faceanond.publish.push.network import Network
from faceanond.publish.push.target import Target
from faceanond.publish.stream import Role, Stream, StreamClosedError
from faceanond.publish.webrtc import ice
from faceanond.publish.webrtc.errors import OfferError
from faceanond.publish.webrtc.lines import with_level
from faceanond.publish.webrtc.peer import Peer, capabilities, configuration, constrained, sending
from faceanond.publish.webrtc.track import PassthroughTrack
from faceanond.publish.webrtc.whip_http import Endpoint
from faceanond.publish.webrtc.whip_sdp import read_answer

GATHER = 10.0
"""Seconds for our own candidates: the longest part is a STUN or TURN server that does not reply."""
HANDSHAKE = 10.0
"""Seconds from the server's answer to the first packet that is asked for."""
SILENCE = 20.0
"""Seconds without a report from a server that has sent some. Others are given up by ICE, after half a minute."""
WATCH_EVERY = 1.0


class WhipPush:
    """One attempt. `run` ends with an exception, always, and frees everything."""

    def __init__(
        self,
        target: Target,
        stream: Stream,
        network: Network,
        settings: WebRtc,
        *,
        clock: Clock,
        connected: Callable[[], None],
    ) -> None:
        self._target = target
        self._stream = stream
        self._network = network
        self._settings = settings
        self._clock = clock
        self._connected = connected
        self._over = asyncio.Event()
        self._error: Exception | None = None
        self._started = False
        self._heard: float | None = None

    async def run(self) -> None:
        """Sends until it fails. Raises PushError, or StreamClosedError when the camera was taken away."""
        target = self._target
        tls = await self._network.tls(verify=target.settings.tls_verify) if target.encrypted else None
        known = await self._network.addresses(target.host, target.port)
        local = await self._network.local_address(known[0], target.port)
        async with self._network.http(tls, known=known) as client, self._peer(local) as peer:
            self._listen(peer.connection, peer.track)
            endpoint = Endpoint(target, client, clock=self._clock)
            session = await endpoint.offer(await self._offer(peer.connection))
            try:
                answer = read_answer(session.answer, loopback=ipaddress.ip_address(local).is_loopback)
                await self._accept(peer.connection, answer)
                await self._last()
            finally:
                await endpoint.end(session)

    def _peer(self, local: str) -> AbstractAsyncContextManager[Peer]:
        return sending(
            self._stream,
            protocol=self._target.protocol,
            role=Role.MEDIA_SERVER,
            codecs=_codecs(),
            configuration=configuration(self._settings),
            network=ice.Network(),
            local=local,
            heard=self._hear,
        )

    def _listen(self, connection: RTCPeerConnection, track: PassthroughTrack) -> None:
        """Ties aiortc's events to ours."""

        def changed() -> None:
            if connection.connectionState in ("failed", "closed"):
                self._end(
                    PushError(PushFault.CLOSED, "the server is gone") if self._started else _no_way("no connection")
                )

        def started() -> None:
            self._started = True
            self._connected()

        connection.on("connectionstatechange", changed)
        track.on("started", started)
        track.on("failed", self._end)
        track.on("exhausted", lambda: self._end(StreamClosedError()))
        track.on("ended", lambda: self._end(PushError(PushFault.CLOSED, "the server ended the session")))

    def _hear(self) -> None:
        self._heard = self._clock.monotonic()

    def _end(self, error: Exception) -> None:
        if not self._over.is_set():
            self._error = error
            self._over.set()

    async def _offer(self, peer: RTCPeerConnection) -> str:
        late = PushError(
            PushFault.TIMEOUT, f"no offer could be made within {GATHER:.0f} s; is the STUN or TURN server up?"
        )

        async def make() -> None:
            await peer.setLocalDescription(await peer.createOffer())

        try:
            await within(self._clock, GATHER, make(), late)
        except OfferError as error:
            raise PushError(PushFault.UNREACHABLE, f"no offer could be made: {error}") from None
        sets = await self._stream.described()
        return with_level(peer.localDescription.sdp, sets.sps[3])

    async def _accept(self, peer: RTCPeerConnection, answer: str) -> None:
        late = PushError(PushFault.TIMEOUT, "the server's answer was not worked off in time")
        try:
            await within(self._clock, GATHER, peer.setRemoteDescription(RTCSessionDescription(answer, "answer")), late)
        except PushError:
            raise
        except Exception as error:  # noqa: BLE001 (aiortc raises whatever its parser runs into)
            message = f"the server's answer is not understood ({type(error).__name__})"
            raise PushError(PushFault.MALFORMED, message) from None

    async def _last(self) -> None:
        """Lasts as long as the session; then raises why it ended."""
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self._watch(), name="whip: watch")
                await self._over.wait()
                watch.cancel()
        except BaseExceptionGroup as group:
            raise first_of(group, PushError) from None
        assert self._error is not None
        raise self._error

    async def _watch(self) -> None:
        await self._clock.sleep(HANDSHAKE)
        if not self._started:
            raise _no_way(f"no connection within {HANDSHAKE:.0f} s")
        while True:
            await self._clock.sleep(WATCH_EVERY)
            if self._heard is not None and self._clock.monotonic() - self._heard >= SILENCE:
                raise PushError(PushFault.STALLED, f"the server sent no report for {SILENCE:.0f} s")


def _no_way(what: str) -> PushError:
    advice = "does UDP reach its addresses? webrtc.ice_servers may name a TURN server"
    return PushError(PushFault.UNREACHABLE, f"{what}, though the server took the offer; {advice}")


def _codecs() -> list[RTCRtpCodecCapability]:
    """H.264 in Constrained Baseline (what the encoder makes) alone, and retransmission."""
    known = capabilities(Codec.H264)
    return [codec for codec in known if codec.mimeType == "video/rtx" or constrained(codec)]
