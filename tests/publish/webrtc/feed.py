"""A camera's worth of packets without a camera: a moving test pattern, and viewers to watch it."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.rtp import RTCP_PSFB_FIR, RtcpPsfbPacket
from av.video.frame import PictureType, VideoFrame

from faceanond.clock import Clock, SystemClock
from faceanond.config.model import WebRtc
from faceanond.frames import Verdict
from faceanond.publish.packet import CLOCK_RATE, Codec, EncodedPacket
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.service import Answer, WhepService
from faceanond.shares import Shares
from tests.waiting import until

FPS = 25


class Pattern:
    """Encodes numbered pictures of a moving bar on demand: the same settings as the daemon's encoders."""

    def __init__(
        self, width: int = 320, height: int = 180, hue: int = 110, fps: int = FPS, codec: Codec = Codec.H264
    ) -> None:
        self._width, self._height, self._hue, self._fps, self._codec = width, height, hue, fps, codec
        self._index = 0
        context = av.CodecContext.create("libx264" if codec is Codec.H264 else "libvpx", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = Fraction(1, CLOCK_RATE), Fraction(fps)
        context.bit_rate, context.thread_count = 800_000, 1
        context.options = (
            {
                "deadline": "realtime",
                "lag-in-frames": "0",
            }
            if codec is Codec.VP8
            else {
                "preset": "ultrafast",
                "tune": "zerolatency",
                "profile": "baseline",
                "forced-idr": "1",
                "x264-params": "keyint=infinite:scenecut=0:repeat-headers=1:annexb=1:log-level=error",
            }
        )
        context.open()
        self._context = context

    def packet(self, keyframe: bool, now: float) -> EncodedPacket:
        ramp = np.arange(self._width, dtype=np.uint16)[None, :] + np.arange(self._height, dtype=np.uint16)[:, None]
        luma = ((ramp // 4 + self._index) % 160 + 40).astype(np.uint8)
        bar = (self._index * 6) % self._width
        luma[:, bar : bar + self._width // 20] = 220
        chroma = np.full((self._height // 2, self._width // 2), self._hue, np.uint8)
        picture = VideoFrame.from_ndarray(
            np.vstack(
                [
                    luma.reshape(-1, self._width),
                    np.concatenate([chroma.ravel(), 255 - chroma.ravel()]).reshape(-1, self._width),
                ]
            ),
            format="yuv420p",
        )
        timestamp = int(now * CLOCK_RATE)
        picture.pts, picture.time_base = timestamp, Fraction(1, CLOCK_RATE)
        picture.pict_type = PictureType.I if keyframe or self._index % 250 == 0 else PictureType.NONE
        (packet,) = self._context.encode(picture)
        self._index += 1
        return EncodedPacket(
            data=bytes(packet),
            keyframe=packet.is_keyframe,
            timestamp=timestamp,
            captured=now,
            encoded=now,
            verdict=Verdict.CLEAN,
            width=self._width,
            height=self._height,
            codec=self._codec,
        )


class Replay:
    """The same second of pictures again and again, encoded once: costs nothing, for walls and for measuring viewers."""

    def __init__(
        self, width: int = 320, height: int = 180, hue: int = 110, fps: int = FPS, codec: Codec = Codec.H264
    ) -> None:
        pattern = Pattern(width, height, hue, fps, codec)
        self._packets = [pattern.packet(index == 0, index / fps) for index in range(fps)]
        self._index = 0

    def packet(self, keyframe: bool, now: float) -> EncodedPacket:
        self._index = 0 if keyframe else self._index
        packet = self._packets[self._index]
        self._index = (self._index + 1) % len(self._packets)
        return replace(packet, timestamp=int(now * CLOCK_RATE), captured=now, encoded=now)


async def feed(stream: Stream, pattern: Pattern | Replay, clock: Clock, fps: int = FPS) -> None:
    """Writes pictures at that rate until cancelled; real time, for whoever watches with a real player."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        stream.write(pattern.packet(stream.take_keyframe_request(), clock.monotonic()))
        due += 1 / fps
        await asyncio.sleep(max(0.0, due - loop.time()))


def finder(streams: Mapping[str, Stream]) -> Callable[[str, Codec], Stream | None]:
    """Looks these streams up as the service does."""

    def find(name: str, codec: Codec) -> Stream | None:
        stream = streams.get(name)
        return stream if stream is not None and stream.codec is codec else None

    return find


@contextlib.asynccontextmanager
async def live(
    *names: str,
    settings: WebRtc | None = None,
    clock: Clock | None = None,
    size: tuple[int, int] = (320, 180),
    kind: type[Pattern] | type[Replay] = Pattern,
    codec: Codec = Codec.H264,
    shares: Shares | None = None,
) -> AsyncIterator[tuple[WhepService, dict[str, Stream]]]:
    """A service with a fed stream for each name, in that one codec."""
    clock = clock or SystemClock()
    streams = {name: Stream(name, clock=clock, codec=codec) for name in names}
    service = WhepService(finder(streams), settings or WebRtc(), clock=clock, shares=shares)
    async with service, asyncio.TaskGroup() as group:
        feeds = [
            group.create_task(feed(stream, kind(*size, hue=70 + 37 * number % 120, codec=codec), clock))
            for number, stream in enumerate(streams.values())
        ]
        try:
            yield service, streams
        finally:
            for task in feeds:
                task.cancel()


class Viewer:
    """A stock aiortc peer that receives one camera; it may know one codec only."""

    def __init__(self, codec: Codec | None = None) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.transceiver = self.connection.addTransceiver("video", direction="recvonly")
        if codec is not None:
            known = (f"video/{codec}", "video/rtx")
            capabilities = RTCRtpReceiver.getCapabilities("video").codecs
            self.transceiver.setCodecPreferences([each for each in capabilities if each.mimeType.lower() in known])
        self.answer: Answer | None = None

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def join(self, service: WhepService, camera: str, local: str | None = "127.0.0.1") -> Answer:
        return await self.accept(await service.offer(camera, await self.offer(), local=local))

    async def accept(self, answer: Answer) -> Answer:
        self.answer = answer
        await self.connection.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        return answer

    async def picture(self) -> VideoFrame:
        frame = await self.transceiver.receiver.track.recv()
        assert isinstance(frame, VideoFrame)
        return frame

    async def ask_for_keyframe(self, *, full_intra: bool = False) -> None:
        """Sends a PLI, or a FIR (RFC 5104, 4.3.1: the header names nobody, the message names the sender)."""
        receiver = self.transceiver.receiver
        streams: dict[int, object] = receiver._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]
        await until(lambda: streams)
        ssrc = min(streams, key=list(streams).index)
        if full_intra:
            own: int = receiver._RTCRtpReceiver__rtcp_ssrc  # type: ignore[attr-defined]
            message = RtcpPsfbPacket(fmt=RTCP_PSFB_FIR, ssrc=own, media_ssrc=0, fci=struct.pack("!LBxxx", ssrc, 1))
            await receiver._send_rtcp(message)  # type: ignore[no-untyped-call]
        else:
            await receiver._send_rtcp_pli(ssrc)

    async def leave(self) -> None:
        await self.connection.close()


@contextlib.asynccontextmanager
async def viewer(codec: Codec | None = None) -> AsyncIterator[Viewer]:
    one = Viewer(codec)
    try:
        yield one
    finally:
        await one.leave()
