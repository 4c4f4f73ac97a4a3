"""A connection that sends one camera, to a viewer as to a WHIP server: aiortc's, with parts of ours in it.

Ours are the ICE agent, the certificate, the sending of H.264, and what becomes of RTCP: a wish for a keyframe reaches
the shared encoder, and what is malformed nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
)
from aiortc.rtcconfiguration import RTCBundlePolicy

from faceanond.config.model import WebRtc
from faceanond.publish.packet import Codec
from faceanond.publish.stream import Role, Stream
from faceanond.publish.webrtc import dtls, ice
from faceanond.publish.webrtc.pump import drop_what_is_malformed
from faceanond.publish.webrtc.sending import SharedSending
from faceanond.publish.webrtc.track import PassthroughTrack

log = structlog.get_logger(__name__)

CLOSING = 3.0
"""Seconds for aiortc to close a connection."""
CONSTRAINED_BASELINE = "42e01f"
"""The profile that the encoder makes, in the level by which aiortc calls it."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One connection that has negotiated nothing yet. Its events, and those of the track, are its user's."""

    connection: RTCPeerConnection
    track: PassthroughTrack
    ice: RTCIceTransport


@asynccontextmanager
async def sending(
    stream: Stream,
    *,
    protocol: str,
    role: Role = Role.VIEWER,
    codecs: Sequence[RTCRtpCodecCapability],
    configuration: RTCConfiguration,
    network: ice.Network,
    local: str | None,
    remote: str | None = None,
    heard: Callable[[], None],
) -> AsyncIterator[Peer]:
    """A connection for this stream in one of these codecs, counted as `protocol`; leaving closes everything of it.

    `local` is the address of ours on which the other side is reached, `remote` its own, where they are known. `heard`
    is called for each RTCP packet.
    """
    connection = RTCPeerConnection(configuration)
    dtls.adopt(connection)
    agent: ice.EdgeConnection | None = None
    try:
        track = PassthroughTrack(stream, protocol=protocol, role=role)
        transceiver = connection.addTransceiver(track, direction="sendonly")
        transceiver.setCodecPreferences(list(codecs))
        transport = transceiver.receiver.transport
        agent = ice.adopt(transport.transport, network, local, remote)
        drop_what_is_malformed(transport)
        if stream.codec is Codec.H264:
            # VP8's payloads carry numbers of their own, so that those stay aiortc's.
            SharedSending(transceiver.sender, track)
        _listen(transceiver.sender, stream, heard)
        yield Peer(connection, track, transport.transport)
    finally:
        await _close(connection, agent)


def _listen(sender: RTCRtpSender, stream: Stream, heard: Callable[[], None]) -> None:
    """Takes over two hooks that are methods which aiortc calls on the sender itself."""
    handle: Callable[[Any], Awaitable[None]] = sender._handle_rtcp_packet

    async def report(packet: Any) -> None:
        heard()
        await handle(packet)

    sender._handle_rtcp_packet = report  # type: ignore[method-assign]
    # PLI and FIR: aiortc would only note them for an encoder of its own.
    sender._send_keyframe = stream.request_keyframe  # type: ignore[method-assign]
    # A FIR names its sender in the message, and 0 in the header (RFC 5104, 4.3.1.2), by which aiortc looks for it.
    sender.transport._rtp_router.register_sender(sender, ssrc=0)


async def _close(connection: RTCPeerConnection, agent: ice.EdgeConnection | None) -> None:
    """Closes a peer connection, and drops its sockets in any case."""
    try:
        async with asyncio.timeout(CLOSING):
            await connection.close()
            if agent is not None:
                await agent.settled()
    except Exception as error:  # noqa: BLE001 (whatever aiortc stumbles over, the sockets must go)
        log.warning("peer connection did not close", error=type(error).__name__)
        if agent is not None:
            ice.release(agent)
    except asyncio.CancelledError:
        if agent is not None:
            ice.release(agent)
        raise


def capabilities(codec: Codec) -> list[RTCRtpCodecCapability]:
    """The one codec, and retransmission. Of H.264 Constrained Baseline comes first; Baseline contains it."""
    known = RTCRtpSender.getCapabilities("video").codecs
    ours = [capability for capability in known if capability.mimeType.lower() == f"video/{codec}"]
    ours.sort(key=lambda capability: not constrained(capability))
    return ours + [capability for capability in known if capability.mimeType == "video/rtx"]


def constrained(capability: RTCRtpCodecCapability) -> bool:
    """Whether it is H.264 in Constrained Baseline."""
    return capability.parameters.get("profile-level-id") == CONSTRAINED_BASELINE


def configuration(settings: WebRtc) -> RTCConfiguration:
    """Which STUN and TURN servers are asked: those of the configuration and, without any, none."""
    return RTCConfiguration(
        iceServers=[
            RTCIceServer(
                urls=list(server.urls),
                username=server.username,
                credential=server.credential.get_secret_value() if server.credential else None,
            )
            for server in settings.ice_servers
        ],
        bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
    )
