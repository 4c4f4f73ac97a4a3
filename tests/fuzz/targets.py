"""The doors: for each one, how an input for it is made and how it is tried.

`make` is a pure function of its random numbers, so that a case can be had again by its number. `run` raises nothing
for an input that is refused in the proper way; what it raises is a defect.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from faceanond.publish.rtp import RtcpError, parse_rtcp
from faceanond.publish.rtsp.messages import RtspError
from faceanond.publish.rtsp.parser import MAX_BODY, MAX_HEAD, Parser
from faceanond.publish.webrtc.errors import MalformedOfferError, UnsupportedOfferError
from faceanond.publish.webrtc.sdp import read_offer
from faceanond.publish.webrtc.trickle import Trickle
from tests.fuzz.mutate import mutated

OFFERS = tuple(path.read_bytes() for path in sorted((Path(__file__).parent / "seeds").glob("*.sdp")))
"""Of Chromium, Firefox, and in GStreamer's manner."""
KNOWN = read_offer(OFFERS[0].decode()).text
SDP_WORDS = (
    b"a=recvonly", b"a=sendrecv", b"a=mid:", b"a=rtcp-mux", b"a=group:BUNDLE 0 1 2", b"a=setup:holdconn", b"actpass",
    b"a=ice-ufrag:abcd", b"a=ice-lite", b"m=video 9 UDP/TLS/RTP/SAVPF 96",
    b"m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    b"a=candidate:1 1 udp 1 ::1 1 typ host", b"a=candidate:1 1 udp 1 224.0.0.1 1 typ host", b"a=fmtp:96 apt=96",
    b"a=rtpmap:96 rtx/90000", b"a=rtpmap:96 H264/90000", b"a=extmap:1 urn:x", b"a=ssrc:1 cname:x",
    b"a=simulcast:recv 1",
)  # fmt: skip


class Target(Protocol):
    """One door."""

    name: str
    deadline: float
    """Seconds for one input."""
    at_once: int
    """Inputs tried at the same time, where most of the time is spent waiting."""

    def make(self, chance: random.Random) -> bytes: ...

    async def run(self, data: bytes) -> None: ...


class Offers:
    """Session descriptions, as text, to the readers that stand before aiortc: of offers, and of what follows them."""

    name, deadline, at_once = "sdp", 1.0, 1

    def make(self, chance: random.Random) -> bytes:
        return mutated(chance.choice(OFFERS), chance, SDP_WORDS, most=8)

    async def run(self, data: bytes) -> None:
        with contextlib.suppress(MalformedOfferError, UnsupportedOfferError):
            read_offer(data.decode("utf-8", "replace"))
        with contextlib.suppress(MalformedOfferError, UnsupportedOfferError):
            Trickle(KNOWN).read(data.decode("utf-8", "replace"))


REPORTS: Sequence[bytes] = tuple(
    bytes.fromhex(text)
    for text in (
        # A browser's: receiver report with source description; with REMB; NACK; PLI; FIR; transport-wide feedback; BYE.
        "81c90007 9f3c1a20 5b1e7d44 00000000 0000a3f1 00000012 8e5f2c00 00004a10"
        "81ca0006 9f3c1a20 0110 3041624364456647684a6b4c6d6e6f00 00",
        "80c90001 9f3c1a20 8fce0005 9f3c1a20 00000000 52454d42 0113d090 5b1e7d44",
        "80c90001 9f3c1a20 81cd0003 9f3c1a20 5b1e7d44 a3f00007",
        "80c90001 9f3c1a20 81ce0002 9f3c1a20 5b1e7d44",
        "80c90001 9f3c1a20 84ce0004 9f3c1a20 00000000 5b1e7d44 01000000",
        "8fcd0005 9f3c1a20 5b1e7d44 00010004 0a8f2100 20040000 00000000",
        "80c90001 9f3c1a20 81cb0001 9f3c1a20",
        # VLC's over RTSP: sender report with a block, and an application packet.
        "81c8000c 11223344 e6a1f2b3 80000000 00015f90 00000064 0001e240 "
        "5b1e7d44 05000003 0000a3f1 00000012 8e5f2c00 00004a10",
        "80cc0003 11223344 74657374 00000001",
    )
)


class Rtcp:
    """RTCP, in the clear, to our own reader."""

    name, deadline, at_once = "rtcp", 1.0, 1

    def make(self, chance: random.Random) -> bytes:
        return mutated(b"".join(chance.choices(REPORTS, k=chance.choice((1, 1, 2, 5)))), chance, REPORTS, most=6)

    async def run(self, data: bytes) -> None:
        with contextlib.suppress(RtcpError):
            parse_rtcp(data)


RTSP = tuple(
    piece.replace("\n", "\r\n").encode()
    for piece in (
        # FFmpeg
        "OPTIONS rtsp://127.0.0.1:8554/yard RTSP/1.0\nCSeq: 1\nUser-Agent: Lavf61.7.100\n\n",
        "DESCRIBE rtsp://127.0.0.1:8554/yard RTSP/1.0\nAccept: application/sdp\nCSeq: 2\nUser-Agent: Lavf61.7.100\n\n",
        "SETUP rtsp://127.0.0.1:8554/yard/trackID=0 RTSP/1.0\n"
        "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\nCSeq: 3\nUser-Agent: Lavf61.7.100\n\n",
        "PLAY rtsp://127.0.0.1:8554/yard/ RTSP/1.0\nRange: npt=0.000-\nCSeq: 4\nSession: SESSION\n\n",
        "TEARDOWN rtsp://127.0.0.1:8554/yard/ RTSP/1.0\nCSeq: 5\nSession: SESSION\n\n",
        # VLC
        "GET_PARAMETER rtsp://127.0.0.1:8554/yard/ RTSP/1.0\nCSeq: 6\nUser-Agent: LibVLC/3.0.18\nSession: SESSION\n\n",
        'DESCRIBE rtsp://127.0.0.1:8554/yard RTSP/1.0\nCSeq: 7\nAuthorization: Digest username="a", realm="r", '
        'nonce="n", uri="rtsp://127.0.0.1:8554/yard", response="0123456789abcdef0123456789abcdef"\n\n',
        # GStreamer
        "SETUP rtsp://127.0.0.1:8554/yard/trackID=0 RTSP/1.0\nCSeq: 8\n"
        "Transport: RTP/AVP;unicast;client_port=40002-40003,RTP/AVP/TCP;unicast;interleaved=0-1\n"
        "Accelerate: 1\nDate: Fri, 27 Nov 2026 04:00:00 GMT\n\n",
        "PAUSE rtsp://127.0.0.1:8554/yard/ RTSP/1.0\nCSeq: 9\nSession: SESSION;timeout=60\n\n",
        "SET_PARAMETER rtsp://127.0.0.1:8554/yard RTSP/1.0\nCSeq: 10\nContent-Length: 6\n\nping\n",
        "ANNOUNCE rtsp://127.0.0.1:8554/yard RTSP/1.0\nCSeq: 11\n"
        "Content-Type: application/sdp\nContent-Length: 5\n\nv=0\n",
    )
) + tuple(b"$\x01" + len(report).to_bytes(2, "big") + report for report in REPORTS)
"""What players send; SESSION stands for the name that the server gives."""
RTSP_WORDS = (
    b"Session: SESSION\r\n", b"multicast", b"destination=10.0.0.1", b"interleaved=0-0", b"client_port=0-1",
    b"Require: x\r\n", b"Content-Length: 99\r\n", b"RTSP/2.0", b"*", b"/yard", b"$\x00\xff\xff", b"mode=record",
)  # fmt: skip


def conversation(chance: random.Random) -> bytes:
    """Some requests in a likely or any order, mostly one of them changed."""
    if chance.random() < 0.5:
        pieces = [RTSP[0], RTSP[1], chance.choice((RTSP[2], RTSP[7])), RTSP[3], *chance.choices(RTSP, k=3)]
    else:
        pieces = chance.choices(RTSP, k=chance.randint(1, 6))
    for _ in range(chance.choice((0, 1, 1, 2))):
        place = chance.randrange(len(pieces))
        pieces[place] = mutated(pieces[place], chance, RTSP_WORDS)
    return b"".join(pieces)


class RtspText:
    """Bytes to the RTSP parser, in pieces."""

    name, deadline, at_once = "rtsp", 1.0, 1

    def make(self, chance: random.Random) -> bytes:
        return bytes([chance.randrange(1, 256)]) + conversation(chance)

    async def run(self, data: bytes) -> None:
        """The first byte says how large the pieces are."""
        parser, step = Parser(), 1 + data[0] * data[0]
        try:
            for place in range(1, len(data), step):
                parser.feed(data[place : place + step])
                while parser.next() is not None:
                    pass
                if parser.pending > max(MAX_HEAD + MAX_BODY, 65540) + step:
                    raise AssertionError(f"the parser keeps {parser.pending} bytes")
        except RtspError:
            pass
