"""What our viewers are compared with: aiortc as its own examples use it, one encoder per viewer.

    python -m tests.load.stock PORT FILE

Answers WHEP offers at any path. The file is decoded once for all (MediaRelay); each viewer's H.264 encoder has the
same 2 Mbit/s as ours, where aiortc's default is one.
"""

from __future__ import annotations

import sys

import aiortc.codecs.h264
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer, MediaRelay

from faceanond.config.model import Encode

connections: set[RTCPeerConnection] = set()


async def offer(request: web.Request) -> web.Response:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connections.add(connection)

    @connection.on("connectionstatechange")
    async def changed() -> None:
        if connection.connectionState in ("failed", "closed"):
            connections.discard(connection)
            await connection.close()

    player, relay = request.app[SOURCE]
    transceiver = connection.addTransceiver(relay.subscribe(player.video), direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
    _on_loopback(transceiver.receiver.transport.transport._connection)
    await connection.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    return web.Response(
        status=201, text=connection.localDescription.sdp, content_type="application/sdp", headers={"Location": "/"}
    )


def _on_loopback(agent: object) -> None:
    """aioice leaves loopback out, and a viewer there would not get through."""
    gather = agent.get_component_candidates  # type: ignore[attr-defined]
    agent.get_component_candidates = lambda component, addresses, timeout=5: gather(  # type: ignore[attr-defined]
        component, ["127.0.0.1"], timeout
    )


SOURCE = web.AppKey("source", tuple)

if __name__ == "__main__":
    aiortc.codecs.h264.DEFAULT_BITRATE = Encode().bitrate
    app = web.Application()
    app[SOURCE] = (MediaPlayer(sys.argv[2], loop=True), MediaRelay())
    app.router.add_post("/{anything:.*}", offer)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
