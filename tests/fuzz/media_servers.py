"""The doors of pushing: what a media server answers, over RTSP and over WHIP."""

from __future__ import annotations

import random

from aiortc.sdp import SessionDescription

from faceanond.errors import PushError
from faceanond.publish.push.delivery import parameter
from faceanond.publish.push.login import Login
from faceanond.publish.push.replies import MAX_BODY, MAX_HEAD, Replies, Reply
from faceanond.publish.rtsp.transport import pair
from faceanond.publish.webrtc.whip_sdp import read_answer
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import OFFERS, REPORTS, SDP_WORDS
from tests.publish.webrtc.test_whip_sdp import ANSWER

DESCRIPTIONS = (ANSWER.encode(),) * 3 + OFFERS
"""What servers answer, mostly."""

ANSWERS = tuple(
    piece.replace("\n", "\r\n").encode()
    for piece in (
        # GStreamer
        "RTSP/1.0 200 OK\nCSeq: 1\nPublic: OPTIONS, ANNOUNCE, GET_PARAMETER, RECORD, SETUP, TEARDOWN\n"
        "Server: GStreamer RTSP server\nDate: Fri, 27 Nov 2026 04:00:00 GMT\n\n",
        "RTSP/1.0 401 Unauthorized\nCSeq: 2\nServer: GStreamer RTSP server\n"
        'WWW-Authenticate: Digest realm="GStreamer RTSP Server", nonce="0a1b2c3d4e5f6071"\n\n',
        'RTSP/1.0 200 OK\nCSeq: 3\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1;mode="RECORD"\n'
        "Session: rvlvDXFJdAg-vHpj;timeout=60\n\n",
        "RTSP/1.0 200 OK\nCSeq: 4\nSession: rvlvDXFJdAg-vHpj\n\n",
        # FFmpeg
        "RTSP/1.0 200 OK\nCSeq: 5\nServer: Lavf59.27.100\nTransport: RTP/AVP/UDP;unicast;mode=receive;source=127.0.0.1;"
        "client_port=40002-40003;server_port=6970-6971\nSession: 7fffffff\n\n",
        # Others
        'RTSP/1.0 401 Unauthorized\nCSeq: 6\nWWW-Authenticate: Digest realm="x", nonce="y", algorithm=SHA-256, '
        'qop="auth,auth-int", opaque="z", stale=true\nWWW-Authenticate: Basic realm="x"\n\n',
        "RTSP/1.0 404 Not Found\nCSeq: 7\nContent-Type: text/plain\nContent-Length: 9\n\nno such.\n",
        "OPTIONS rtsp://127.0.0.1/yard RTSP/1.0\nCSeq: 1\n\n",
    )
) + tuple(b"$\x01" + len(report).to_bytes(2, "big") + report for report in REPORTS[:3])
WORDS = (
    b"Content-Length: 99\r\n", b"Session: \r\n", b"WWW-Authenticate: Digest ", b"algorithm=MD5-sess", b'qop=""',
    b'nonce="', b"\\\"", b"interleaved=0-0", b"server_port=0-1", b"$\x00\xff\xff", b"RTSP/2.0 ", b"timeout=0",
)  # fmt: skip


class RtspAnswers:
    """Bytes to the parser of answers, in pieces; what they offer goes on to the login and the transport."""

    name, deadline, at_once = "rtsp-answers", 1.0, 1

    def make(self, chance: random.Random) -> bytes:
        pieces = [mutated(piece, chance, WORDS) for piece in chance.choices(ANSWERS, k=chance.randint(1, 5))]
        return bytes([chance.randrange(1, 256)]) + b"".join(pieces)

    async def run(self, data: bytes) -> None:
        """The first byte says how large the pieces are."""
        replies, login, step = Replies(), Login("cam", 'ge"heim', allow_basic=True), 1 + data[0] * data[0]
        try:
            for place in range(1, len(data), step):
                replies.feed(data[place : place + step])
                while (message := replies.next()) is not None:
                    if isinstance(message, Reply):
                        _take(message, login)
                if replies.pending > max(MAX_HEAD + MAX_BODY, 65540) + step:
                    raise AssertionError(f"the parser keeps {replies.pending} bytes")
        except PushError:
            pass


def _take(reply: Reply, login: Login) -> None:
    if login.take(reply.header("www-authenticate")):
        header = login.authorization("ANNOUNCE", "rtsp://127.0.0.1/yard")
        if header is None or any(char in header for char in "\r\n\0") or "ge" + '"heim' in header:
            raise AssertionError(f"a login that cannot be: {header!r}")
    transport = reply.header("transport")
    pair(parameter(transport, "interleaved"), 255)
    pair(parameter(transport, "server_port"), 65535)


class WhipAnswers:
    """Session descriptions that a WHIP server answers; what is taken of them, aiortc must be able to read."""

    name, deadline, at_once = "whip-answers", 1.0, 1

    def make(self, chance: random.Random) -> bytes:
        return mutated(chance.choice(DESCRIPTIONS), chance, (*SDP_WORDS, b"a=setup:active\r\n", b"a=ice-pwd:"), most=8)

    async def run(self, data: bytes) -> None:
        try:
            fresh = read_answer(data.decode("utf-8", "replace"), loopback=len(data) % 2 == 0)
        except PushError:
            return
        SessionDescription.parse(fresh)
