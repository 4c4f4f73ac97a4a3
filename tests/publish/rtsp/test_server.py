from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from faceanond.access import OPEN
from faceanond.config.model import Rtsp
from faceanond.errors import UnavailableError
from faceanond.publish.rtsp import server as module
from faceanond.publish.rtsp.connection import Connection
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from tests.conftest import FakeClock
from tests.publish.rtsp.player import TCP, connected
from tests.publish.sealed import packet
from tests.waiting import until


@pytest.fixture
async def stream(clock: FakeClock) -> Stream:
    stream = Stream("yard", clock=clock)
    stream.write(packet(0, keyframe=True, encoded=900.0))
    return stream


def server_for(stream: Stream, clock: FakeClock, **settings: int) -> RtspServer:
    return RtspServer({"yard": stream}.get, Rtsp(listen="127.0.0.1:0", **settings), clock=clock, access=OPEN)


async def test_leaving_ends_every_player_with_a_goodbye_and_frees_the_port(stream: Stream, clock: FakeClock) -> None:
    async with server_for(stream, clock) as server:
        port = server.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"SETUP rtsp://x/yard RTSP/1.0\r\nCSeq: 1\r\nTransport: {TCP}\r\n\r\n".encode())
        session = (await reader.readuntil(b"\r\n\r\n")).split(b"Session: ")[1].split(b";")[0].decode()
        writer.write(f"PLAY rtsp://x/yard RTSP/1.0\r\nCSeq: 2\r\nSession: {session}\r\n\r\n".encode())
        await until(lambda: stream.viewers().get("rtsp"))
        stream.write(packet(1, keyframe=True, encoded=900.0))
        await reader.readuntil(b"\r\n\r\n")
    rest = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert b"\x81\xcb" in rest  # RTCP BYE
    assert stream.viewers() == {"rtsp": 0}
    async with RtspServer({}.get, Rtsp(listen=f"127.0.0.1:{port}"), clock=clock, access=OPEN) as again:
        assert again.port == port


async def test_run_serves_until_cancelled(stream: Stream, clock: FakeClock) -> None:
    server = server_for(stream, clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run(), name="server")
        await until(lambda: server._listener)
        async with connected(server.port) as player:
            assert (await player.ask("OPTIONS")).status == 200
        running.cancel()
    assert running.cancelled()


async def test_an_error_of_the_block_comes_out_as_it_is(stream: Stream, clock: FakeClock) -> None:
    async def fail() -> None:
        async with server_for(stream, clock):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await fail()


async def test_a_port_in_use_names_the_address_the_key_and_what_to_do(stream: Stream, clock: FakeClock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = RtspServer({}.get, Rtsp(listen=f"127.0.0.1:{port}"), clock=clock, access=OPEN)
        with pytest.raises(UnavailableError) as caught:
            await server.__aenter__()
    assert str(caught.value).startswith(f"rtsp.listen: cannot listen on TCP 127.0.0.1:{port}: another program uses")


async def test_an_address_of_another_machine_is_said_to_be_one(clock: FakeClock) -> None:
    server = RtspServer({}.get, Rtsp(listen="192.0.2.7:8554"), clock=clock, access=OPEN)
    with pytest.raises(
        UnavailableError, match=r"rtsp\.listen: .* 192\.0\.2\.7:8554: this is no address of this machine"
    ):
        await server.__aenter__()


async def test_one_player_too_many_is_told_503_and_may_come_back_later(stream: Stream, clock: FakeClock) -> None:
    async with server_for(stream, clock, max_sessions=1) as server, connected(server.port) as late:
        async with connected(server.port) as first:
            assert (await first.ask("SETUP", Transport=TCP)).status == 200
            answer = await late.ask("SETUP", Transport=TCP)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        await until(lambda: not server.sessions)
        assert (await late.ask("SETUP", Transport=TCP)).status == 200


async def test_silent_connections_without_end_lock_nobody_out(
    stream: Stream, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SPARE_CONNECTIONS", 2)
    async with (
        server_for(stream, clock, max_sessions=1) as server,
        connected(server.port, local="127.0.0.3") as player,
        connected(server.port) as one,
        connected(server.port) as two,
    ):
        assert (await player.ask("SETUP", Transport=TCP)).status == 200
        for flood in (one, two):
            await flood.ask("OPTIONS")
        async with connected(server.port, local="127.0.0.2") as newcomer:
            assert (await newcomer.ask("OPTIONS")).status == 200
            assert await one.ended()
            assert (await two.ask("OPTIONS")).status == 200
            assert (await player.ask("OPTIONS")).status == 200


async def test_while_all_connections_are_players_a_newcomer_is_turned_away(
    stream: Stream, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SPARE_CONNECTIONS", 0)
    async with server_for(stream, clock, max_sessions=1) as server, connected(server.port) as player:
        assert (await player.ask("SETUP", Transport=TCP)).status == 200
        async with connected(server.port) as late:
            assert await late.ended()
        assert (await player.ask("OPTIONS")).status == 200
        assert len(server._connections) == 1


async def test_a_player_who_comes_in_the_moment_of_the_end_is_cut_off(
    stream: Stream, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = RtspServer._accept
    server = server_for(stream, clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run(), name="server")

        def last(*place: Any, **named: Any) -> None:
            running.cancel()
            accept(*place, **named)

        monkeypatch.setattr(RtspServer, "_accept", last)
        await until(lambda: server._listener)
        async with connected(server.port) as player:
            assert await player.ended()


async def test_a_defect_in_serving_one_player_spares_the_others(
    stream: Stream, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server_for(stream, clock) as server, connected(server.port) as other:
        await other.ask("OPTIONS")

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(Connection, "_stream", broken)
            async with connected(server.port) as unlucky:
                unlucky.writer.write(b"DESCRIBE rtsp://x/yard RTSP/1.0\r\nCSeq: 1\r\n\r\n")
                assert await unlucky.ended()
        assert (await other.ask("DESCRIBE")).status == 200
        assert server.failed == 1


async def test_fifty_joins_and_leaves_leave_nothing_behind(stream: Stream, clock: FakeClock) -> None:
    async with server_for(stream, clock) as server:
        tasks = len(asyncio.all_tasks())
        for number in range(50):
            async with connected(server.port) as player:
                offer = TCP if number % 2 else f"RTP/AVP;unicast;client_port={20000 + 2 * number}-{20001 + 2 * number}"
                await player.ask("SETUP", Transport=offer)
        await until(lambda: not server._connections)
        assert (server.sessions, len(asyncio.all_tasks())) == (0, tasks)


async def test_one_address_cannot_take_every_place(stream: Stream, clock: FakeClock) -> None:
    listening = server_for(stream, clock, max_per_address=2)
    async with listening as server, connected(server.port) as one, connected(server.port) as two:
        await one.ask("OPTIONS")
        await two.ask("OPTIONS")
        async with connected(server.port) as three:
            assert await three.ended()
        async with connected(server.port, local="127.0.0.2") as other:
            assert (await other.ask("OPTIONS")).status == 200
        two.writer.close()
        await until(lambda: server._from["127.0.0.1"] == 1)
        async with connected(server.port) as again:
            assert (await again.ask("OPTIONS")).status == 200
    assert not server._from


async def test_refusals_are_one_line_a_second(
    stream: Stream, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(module.log, "warning", lambda _, **more: told.append((more["reason"], more["count"])))
    listening = server_for(stream, clock, max_per_address=1)
    async with listening as server, connected(server.port) as first:
        await first.ask("OPTIONS")
        for seconds in (0.0, 0.0, 0.0, 1.0):
            await clock.advance(seconds)
            async with connected(server.port) as refused:
                assert await refused.ended()
    reason = "too many connections from there; see rtsp.max_per_address"
    assert told == [(reason, 1), (reason, 3)]


async def test_the_kernel_looks_for_players_whose_machine_is_gone(stream: Stream, clock: FakeClock) -> None:
    async with server_for(stream, clock) as server, connected(server.port) as player:
        await player.ask("OPTIONS")
        (connection,) = server._connections
        tuned = connection._writer.get_extra_info("socket")
        options = (socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
        assert [tuned.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [10_000, 5, 2]
        assert tuned.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
