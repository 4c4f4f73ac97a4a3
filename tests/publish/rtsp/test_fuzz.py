"""Whatever bytes come, a connection ends in order: nothing uncaught, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import pytest
from pydantic import SecretStr

from faceanond.access import OPEN, Access
from faceanond.config.model import Rtsp, Viewer
from faceanond.publish.rtsp import server as module
from faceanond.publish.rtsp.digest import REALM, Digest
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from tests.conftest import FakeClock
from tests.publish.rtsp.player import connected
from tests.publish.sealed import packet
from tests.waiting import until

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "60"))
"""Conversations; set the variable for a long run."""

NONCE = SESSION = "SESSION"
"""Every nonce and every session is this one here, so that a conversation without a memory gets further than SETUP."""
PIECES = (
    b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    b"DESCRIBE rtsp://h/yard RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp\r\n\r\n",
    b"SETUP rtsp://h/yard/trackID=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n",
    b"SETUP rtsp://h/yard RTSP/1.0\r\nCSeq: 4\r\nTransport: RTP/AVP;unicast;client_port=40000-40001\r\n\r\n",
    b"PLAY rtsp://h/yard RTSP/1.0\r\nCSeq: 5\r\nSession: SESSION\r\nRange: npt=0-\r\n\r\n",
    b"PAUSE rtsp://h/yard RTSP/1.0\r\nCSeq: 6\r\nSession: SESSION\r\n\r\n",
    b"TEARDOWN rtsp://h/yard RTSP/1.0\r\nCSeq: 7\r\nSession: SESSION\r\n\r\n",
    b"GET_PARAMETER rtsp://h/yard RTSP/1.0\r\nCSeq: 8\r\nContent-Length: 3\r\n\r\na\r\n",
    b"$\x01\x00\x08\x80\xc9\x00\x01\x00\x00\x00\x01",
    b"$\x01\x00\x20\x81\xc9\x00\x07" + bytes(28),
    b"$\x01\x00\x0c\x81\xce\x00\x02\x00\x00\x00\x01\x00\x00\x00\x02",
    b"$\x01\x00\x08\x81\xcb\x00\x01\x00\x00\x00\x01",
)
URI = "rtsp://h/yard"


def login(method: bytes, more: bytes = b"", *, password: str = "secret-1", nonce: str = NONCE) -> bytes:
    """A request with an Authorization header, which is right unless told otherwise."""
    given = Digest("guard", REALM, nonce, URI, "", "SHA-256", "auth", "00000001", "x")
    proof = given.expected(password, method.decode())
    return (
        b"%b rtsp://h/yard RTSP/1.0\r\nCSeq: 9\r\n%b" % (method, more)
        + f'Authorization: Digest username="guard", realm="{REALM}", nonce="{nonce}", uri="{URI}", '
        f'response="{proof}", algorithm=SHA-256, qop=auth, nc=00000001, cnonce="x"\r\n\r\n'.encode()
    )


LOGINS = (
    login(b"DESCRIBE"),
    login(b"SETUP", b"Transport: RTP/AVP/TCP;interleaved=0-1\r\n"),
    login(b"DESCRIBE") + login(b"SETUP", b"Transport: RTP/AVP/TCP;interleaved=0-1\r\n") + PIECES[4],
    login(b"DESCRIBE", password="secret-2"),
    login(b"DESCRIBE", nonce="old"),
    b"DESCRIBE rtsp://h/yard RTSP/1.0\r\nCSeq: 9\r\nAuthorization: Basic Z3VhcmQ6c2VjcmV0LTE=\r\n\r\n",
)


def mutated(random: random.Random) -> bytes:
    """A conversation in a random order, mostly with some bytes changed, doubled or left out."""
    data = bytearray(b"".join(random.choices(PIECES + LOGINS, k=random.randint(1, 8))))
    for _ in range(random.choice((0, 0, 1, 2, 10))):
        place = random.randrange(len(data))
        change = random.choice((b"", bytes([random.randrange(256)]), b"\r\n", b"%s" * 5, b"9" * 20, b"x" * 3000))
        data[place : place + random.choice((0, 1, 30))] = change
        data += b" "
    return bytes(data)


@pytest.mark.parametrize("access", [OPEN, Access({"guard": Viewer(password=SecretStr("secret-1"))})])
async def test_no_bytes_bring_a_connection_out_of_order(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, access: Access
) -> None:
    defects: list[Any] = []
    monkeypatch.setattr(module.log, "exception", lambda *words, **more: defects.append((words, more)))
    monkeypatch.setattr("secrets.token_hex", lambda _: NONCE)
    monkeypatch.setattr("faceanond.publish.rtsp.login.PENALTY", 0.0)
    stream = Stream("yard", clock=clock)
    played = 0
    seed = int(os.environ.get("FUZZ_SEED", "0")) or random.randrange(1 << 32)
    source = random.Random(seed)
    settings = Rtsp(listen="127.0.0.1:0")
    async with RtspServer({"yard": stream}.get, settings, clock=clock, access=access) as server:
        before = len(asyncio.all_tasks())
        for number in range(ROUNDS):
            # Wrong logins are forgiven in the meantime; a fresh keyframe, so that PLAY need not wait.
            await clock.advance(30.0)
            stream.write(packet(number + 1, keyframe=True, encoded=clock.monotonic()))
            async with connected(server.port) as player:
                player.writer.write(mutated(source))
                player.writer.write_eof()
                assert await player.ended()
            await until(lambda: not server._connections)
            played += stream.output_bytes.get("rtsp", 0) > 0
            assert (defects, server.sessions, stream.viewers().get("rtsp", 0)) == ([], 0, 0), f"FUZZ_SEED={seed}"
        assert len(asyncio.all_tasks()) == before
    assert played, "no conversation came as far as to play"
