"""Whatever bytes come, a connection ends in order: nothing uncaught, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import pytest

from faceanond.config.model import Rtsp
from faceanond.publish.rtsp import server as module
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from tests.conftest import FakeClock
from tests.publish.rtsp.player import connected, until
from tests.publish.sealed import packet

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "60"))
"""Conversations; set the variable for a long run."""

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
)


def mutated(random: random.Random) -> bytes:
    """A conversation in a random order, mostly with some bytes changed, doubled or left out."""
    data = bytearray(b"".join(random.choices(PIECES, k=random.randint(1, 8))))
    for _ in range(random.choice((0, 0, 1, 2, 10))):
        place = random.randrange(len(data))
        change = random.choice((b"", bytes([random.randrange(256)]), b"\r\n", b"%s" * 5, b"9" * 20, b"x" * 3000))
        data[place : place + random.choice((0, 1, 30))] = change
        data += b" "
    return bytes(data)


async def test_no_bytes_bring_a_connection_out_of_order(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    defects: list[Any] = []
    monkeypatch.setattr(module.log, "exception", lambda *words, **more: defects.append((words, more)))
    # Every session has the same name, so that a conversation without a memory gets further than SETUP.
    monkeypatch.setattr("faceanond.publish.rtsp.session.secrets.token_hex", lambda _: "SESSION")
    stream = Stream("yard", clock=clock)
    seed = int(os.environ.get("FUZZ_SEED", "0")) or random.randrange(1 << 32)
    source = random.Random(seed)
    async with RtspServer({"yard": stream}.get, Rtsp(listen="127.0.0.1:0"), clock=clock) as server:
        before = len(asyncio.all_tasks())
        for number in range(ROUNDS):
            # A fresh keyframe, so that PLAY need not wait.
            stream.write(packet(number + 1, keyframe=True, encoded=clock.monotonic()))
            async with connected(server.port) as player:
                player.writer.write(mutated(source))
                player.writer.write_eof()
                assert await player.ended()
            await until(lambda: not server._connections)
            assert (defects, server.sessions, stream.viewers().get("rtsp", 0)) == ([], 0, 0), f"FUZZ_SEED={seed}"
        assert len(asyncio.all_tasks()) == before
