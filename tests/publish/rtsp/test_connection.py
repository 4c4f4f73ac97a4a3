from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from faceanond.access import OPEN
from faceanond.config.model import Rtsp
from faceanond.publish import rtp
from faceanond.publish.rtsp.connection import MOST_MESSAGES
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from tests.conftest import FakeClock, settle
from tests.publish.rtsp.player import TCP, Player, connected
from tests.publish.sealed import packet
from tests.waiting import until

OLD = 900.0


@pytest.fixture
async def stream(clock: FakeClock) -> Stream:
    stream = Stream("yard", clock=clock)
    stream.write(packet(0, keyframe=True, encoded=OLD))
    return stream


@pytest_asyncio.fixture
async def server(clock: FakeClock, stream: Stream) -> AsyncIterator[RtspServer]:
    streams = {"yard": stream, "dark": Stream("dark", clock=clock)}
    async with RtspServer(streams.get, Rtsp(listen="127.0.0.1:0"), clock=clock, access=OPEN) as server:
        yield server


@pytest_asyncio.fixture
async def player(server: RtspServer) -> AsyncIterator[Player]:
    async with connected(server.port) as player:
        yield player


async def playing(player: Player, stream: Stream, transport: str = TCP) -> int:
    """Plays, with one keyframe (number 1) on its way; returns the first sequence number."""
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(player.play(transport), name="play")
        await until(lambda: stream.viewers().get("rtsp"))
        stream.write(packet(1, keyframe=True, encoded=OLD))
    assert answer.result().status == 200
    return int(answer.result().headers["RTP-Info"].split("seq=")[1].split(";")[0])


async def test_options_lists_what_can_be_asked(player: Player) -> None:
    answer = await player.ask("OPTIONS", "*")
    assert answer.status == 200
    assert answer.headers["Public"].split(", ") == [
        "OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/yard", "/yard/", "/yard?token=1"])
async def test_describe_gives_the_sdp_and_its_base(player: Player, path: str) -> None:
    answer = await player.ask("DESCRIBE", path, Accept="application/sdp")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/sdp"
    assert answer.headers["Content-Base"] == f"{player.base}/yard/"
    assert b"profile-level-id=42c01f" in answer.body


async def test_describe_waits_for_the_first_picture(player: Player, stream: Stream, clock: FakeClock) -> None:
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(player.ask("DESCRIBE", "/dark"), name="describe")
        await until(lambda: len(clock._waiting) == 2)  # the server's own and this one
        await clock.advance(2.0)
    assert (answer.result().status, answer.result().headers["Retry-After"]) == (503, "2")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("DESCRIBE", "/nowhere", {}, 404),
        ("DESCRIBE", "/", {}, 404),
        ("DESCRIBE", "/yard", {"Accept": "text/plain"}, 406),
        ("DESCRIBE", "/yard", {"Require": "onvif-replay"}, 551),
        ("DESCRIBE", "/yard", {"CSeq": ""}, 400),
        ("DESCRIBE", "/yard", {"CSeq": "x"}, 400),
        ("SETUP", "/nowhere/trackID=0", {"Transport": TCP}, 404),
        ("SETUP", "/yard/trackID=1", {"Transport": TCP}, 404),
        ("SETUP", "/yard/trackID=0", {"Transport": "RTP/AVP;multicast"}, 461),
        ("SETUP", "/yard/trackID=0", {}, 461),
        ("SETUP", "/yard/trackID=0", {"Transport": TCP, "Session": "0123"}, 454),
        ("PLAY", "/yard", {}, 454),
        ("PAUSE", "/yard", {"Session": "0123"}, 454),
        ("TEARDOWN", "/yard", {}, 454),
        ("GET_PARAMETER", "/yard", {"Session": "0123"}, 454),
        ("ANNOUNCE", "/yard", {}, 405),
        ("RECORD", "/yard", {}, 405),
        ("EAT", "/yard", {}, 501),
    ],
)
async def test_what_cannot_be_is_refused_and_the_connection_goes_on(
    player: Player, server: RtspServer, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    if headers.get("CSeq") is not None:
        player.writer.write(f"{method} {player.base}{path} RTSP/1.0\r\nCSeq: {headers['CSeq']}\r\n\r\n".encode())
        assert (await player.answer()).status == status
    else:
        assert (await player.ask(method, path, **headers)).status == status
    assert (await player.ask("OPTIONS", "*", Session="")).status == 200
    assert server.sessions == 0


async def test_parameters_are_a_sign_of_life_but_there_are_none(player: Player) -> None:
    assert (await player.ask("GET_PARAMETER")).status == 200
    assert (await player.ask("SET_PARAMETER", body=b"barrel: 1\r\n")).status == 451


async def test_a_malformed_request_is_answered_400_and_ends_that_connection_only(
    server: RtspServer, player: Player
) -> None:
    async with connected(server.port) as broken:
        broken.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await broken.answer()).status == 400
        assert await broken.ended()
    assert (await player.ask("OPTIONS")).status == 200


async def test_a_malformed_url_is_400(player: Player) -> None:
    player.base = "rtsp://[::1"
    assert (await player.ask("DESCRIBE")).status == 400


async def test_setup_names_the_session_its_timeout_and_the_ssrc(player: Player) -> None:
    answer = await player.ask("SETUP", "/yard/trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=2-3")
    assert answer.headers["Session"].endswith(";timeout=60")
    protocol, cast, channels, ssrc = answer.headers["Transport"].split(";")
    assert (protocol, cast, channels) == ("RTP/AVP/TCP", "unicast", "interleaved=2-3")
    assert len(ssrc.removeprefix("ssrc=")) == 8


async def test_play_tells_where_the_numbers_start_and_then_sends_from_there(player: Player, stream: Stream) -> None:
    first = await playing(player, stream)
    stream.write(packet(2))
    parts = [await player.packet() for _ in range(5)]
    numbers = [struct.unpack_from("!xxHI", data) for channel, data in parts if channel == 0]
    assert [number for number, _ in numbers] == [(first + step) & 0xFFFF for step in range(4)]
    assert (numbers[3][1] - numbers[0][1]) & 0xFFFFFFFF == 3600
    assert [data[12] & 0x1F for channel, data in parts if channel == 0] == [7, 8, 5, 1]


async def test_rtptime_is_the_first_packets(player: Player, stream: Stream) -> None:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(player.play(), name="play")
        await until(lambda: stream.viewers().get("rtsp"))
        stream.write(packet(1, keyframe=True, encoded=OLD))
    answer = task.result()
    assert answer.headers["Range"] == "npt=now-"
    assert answer.headers["RTP-Info"].startswith(f"url={player.base}/yard/trackID=0;seq=")
    data = await player.rtp()
    assert int(answer.headers["RTP-Info"].split("rtptime=")[1]) == struct.unpack_from("!I", data, 4)[0]


async def test_a_sender_report_comes_before_the_first_picture_and_then_every_five_seconds(
    player: Player, stream: Stream, clock: FakeClock
) -> None:
    await playing(player, stream)
    channels = [(await player.packet())[0] for _ in range(4)]
    for number in range(2, 9):
        await clock.advance(1.0)
        stream.write(packet(number))
        if number == 6:
            report = await player.packet()
            channels.append(report[0])
        channels.append((await player.packet())[0])
    assert channels == [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert report[1][1] == rtp.SENDER_REPORT


async def test_play_without_pictures_is_answered_all_the_same(player: Player, stream: Stream, clock: FakeClock) -> None:
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(player.play(), name="play")
        await until(lambda: len(clock._waiting) == 2)  # the server's own and this one
        await clock.advance(2.0)
    assert answer.result().status == 200
    assert "rtptime" not in answer.result().headers["RTP-Info"]
    stream.write(packet(1, keyframe=True))
    assert (await player.rtp())[12] & 0x1F == 7


async def test_pause_stops_and_play_goes_on_with_the_numbers_at_a_keyframe(player: Player, stream: Stream) -> None:
    first = await playing(player, stream)
    for _ in range(4):
        await player.packet()
    assert (await player.ask("PAUSE")).status == 200
    assert stream.viewers() == {"rtsp": 0}
    stream.write(packet(2))
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(player.ask("PLAY"), name="play")
        await until(lambda: stream.viewers().get("rtsp"))
        stream.write(packet(3))
        stream.write(packet(4, keyframe=True, encoded=OLD))
    assert f"seq={(first + 3) & 0xFFFF};" in answer.result().headers["RTP-Info"]
    data = await player.rtp()
    assert struct.unpack_from("!xxH", data)[0] == (first + 3) & 0xFFFF
    assert data[12] & 0x1F == 7


async def test_a_second_play_while_playing_changes_nothing(player: Player, stream: Stream) -> None:
    await playing(player, stream)
    assert (await player.ask("PLAY")).status == 200
    assert stream.viewers() == {"rtsp": 1}


async def test_setup_while_playing_is_455_and_another_camera_459(player: Player, stream: Stream) -> None:
    await playing(player, stream)
    assert (await player.ask("SETUP", "/yard/trackID=0", Transport=TCP)).status == 455
    assert (await player.ask("SETUP", "/dark/trackID=0", Transport=TCP)).status == 459


async def test_a_second_setup_before_playing_replaces_the_first(player: Player, server: RtspServer) -> None:
    first = await player.ask("SETUP", "/yard/trackID=0", Transport="RTP/AVP;unicast;client_port=5000-5001")
    second = await player.ask("SETUP", "/yard/trackID=0", Transport=TCP)
    assert first.headers["Session"] == second.headers["Session"]
    assert "RTP/AVP/TCP" in second.headers["Transport"]
    assert server.sessions == 1


async def test_teardown_ends_the_session_with_a_goodbye_and_the_connection_may_go_on(
    player: Player, stream: Stream, server: RtspServer
) -> None:
    await playing(player, stream)
    for _ in range(4):
        await player.packet()
    player.writer.write(
        f"TEARDOWN {player.base}/yard RTSP/1.0\r\nCSeq: 9\r\nSession: {player.session}\r\n\r\n".encode()
    )
    channel, goodbye = await player.packet()
    assert channel == 1
    assert rtp.parse_rtcp(goodbye).goodbye
    assert (await player.answer()).status == 200
    assert (server.sessions, stream.viewers()) == (0, {"rtsp": 0})
    player.session = ""
    assert (await player.ask("SETUP", "/yard/trackID=0", Transport=TCP)).status == 200


async def test_a_player_that_hangs_up_is_forgotten_at_once(server: RtspServer, stream: Stream) -> None:
    async with connected(server.port) as player:
        await playing(player, stream)
        assert server.sessions == 1
    await until(lambda: not server.sessions)
    assert stream.viewers() == {"rtsp": 0}


async def test_a_camera_that_is_taken_away_ends_its_players_with_a_goodbye(
    player: Player, stream: Stream, server: RtspServer
) -> None:
    await playing(player, stream)
    for _ in range(4):
        await player.packet()
    stream.close()
    _, goodbye = await player.packet()
    assert rtp.parse_rtcp(goodbye).goodbye
    assert await player.ended()
    assert server.sessions == 0


async def test_a_silent_connection_without_session_ends(player: Player, clock: FakeClock) -> None:
    await player.ask("OPTIONS", "*")
    await clock.advance(29.0)
    await player.ask("OPTIONS", "*")
    await clock.advance(31.0)
    assert await player.ended()


async def test_a_set_up_player_without_a_sign_of_life_is_dropped(
    player: Player, server: RtspServer, clock: FakeClock
) -> None:
    await player.ask("SETUP", "/yard/trackID=0", Transport=TCP)
    await clock.advance(50.0)
    assert (await player.ask("GET_PARAMETER")).status == 200
    await clock.advance(50.0)
    assert server.sessions == 1
    await clock.advance(11.0)
    assert server.sessions == 0
    assert await player.ended()


async def test_rtcp_is_a_sign_of_life_and_nonsense_is_none(
    player: Player, server: RtspServer, clock: FakeClock
) -> None:
    await player.ask("SETUP", "/yard/trackID=0", Transport=TCP)
    await clock.advance(50.0)
    player.writer.write(b"$\x01\x00\x08" + struct.pack("!BBHI", 0x80, 201, 1, 7))
    await player.ask("OPTIONS", "*", Session="")  # answered after the report was read
    await clock.advance(50.0)
    assert server.sessions == 1
    player.writer.write(b"$\x01\x00\x03abc")
    await clock.advance(11.0)
    assert server.sessions == 0


async def test_a_tcp_player_that_reads_needs_no_other_sign_of_life(
    player: Player, stream: Stream, server: RtspServer, clock: FakeClock
) -> None:
    await playing(player, stream)
    await clock.advance(200.0)
    assert server.sessions == 1


async def test_a_tcp_player_that_does_not_read_loses_packets_and_is_then_dropped(
    server: RtspServer, stream: Stream, clock: FakeClock
) -> None:
    async with connected(server.port) as stuck, connected(server.port) as quick:
        await set_up(stuck)
        await set_up(quick)
        await until(lambda: stream.viewers().get("rtsp") == 2)
        sent = received = 0
        while stream.dropped < 100:
            sent += 1
            stream.write(packet(sent, keyframe=sent % 10 == 1, size=50_000, encoded=OLD))
            if sent == 1:
                assert (await quick.answer()).status == 200
            received += await read_picture(quick)
            await settle(3)
        assert received == sent
        await clock.advance(9.0)
        assert server.sessions == 2
        await clock.advance(2.0)
        assert server.sessions == 1
        stream.write(packet(sent + 1, keyframe=True, encoded=OLD))
        assert await read_picture(quick) == 1


async def set_up(player: Player) -> None:
    """SETUP, then PLAY without reading its answer; the small buffer fills soon when nobody reads."""
    player.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    await player.ask("SETUP", "/yard/trackID=0", Transport=TCP)
    player.writer.write(f"PLAY {player.base}/yard RTSP/1.0\r\nCSeq: 2\r\nSession: {player.session}\r\n\r\n".encode())


async def read_picture(player: Player) -> int:
    """Reads packets up to the end of one picture; returns 1."""
    while True:
        channel, data = await player.packet()
        if channel == 0 and data[1] & 0x80:
            return 1


GOODBYE = struct.pack("!BBHIBBHI", 0x80, 201, 1, 7, 0x81, 203, 1, 7)
PICTURE_LOSS = struct.pack("!BBHIBBHII", 0x80, 201, 1, 7, 0x81, 206, 2, 7, 9)


def interleaved(data: bytes) -> bytes:
    return b"$\x01" + struct.pack("!H", len(data)) + data


async def test_a_player_that_says_goodbye_over_rtcp_is_gone_two_seconds_later(
    player: Player, server: RtspServer, stream: Stream, clock: FakeClock
) -> None:
    await playing(player, stream)
    (connection,) = server._connections
    session = connection._session
    player.writer.write(interleaved(GOODBYE))
    await until(lambda: session is not None and session._left is not None)
    await clock.advance(1.0)
    assert server.sessions == 1
    await clock.advance(2.0)
    assert server.sessions == 0
    assert await player.ended()


async def test_a_goodbye_that_a_request_follows_was_not_meant(
    player: Player, server: RtspServer, stream: Stream, clock: FakeClock
) -> None:
    await playing(player, stream)
    player.writer.write(interleaved(GOODBYE))
    assert (await player.ask("PAUSE")).status == 200
    await clock.advance(10.0)
    assert server.sessions == 1


async def test_a_player_that_lost_a_picture_gets_a_keyframe(player: Player, stream: Stream, clock: FakeClock) -> None:
    await playing(player, stream)
    stream.take_keyframe_request()
    await clock.advance(2.0)
    assert not stream.take_keyframe_request()
    player.writer.write(interleaved(PICTURE_LOSS))
    await player.ask("OPTIONS", "*", Session="")
    assert stream.take_keyframe_request()
    assert (await player.ask("PAUSE")).status == 200
    await clock.advance(2.0)
    player.writer.write(interleaved(PICTURE_LOSS))
    await player.ask("OPTIONS", "*", Session="")
    assert not stream.take_keyframe_request()


@pytest.mark.parametrize("flood", [b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", interleaved(b"x")])
async def test_a_flood_of_messages_ends_that_connection(server: RtspServer, player: Player, flood: bytes) -> None:
    async with connected(server.port) as noisy:
        noisy.writer.write(flood * 5000)
        received = b""
        with suppress(ConnectionError):
            while data := await noisy.reader.read(65536):
                received += data
        assert received.count(b"RTSP/1.0 200 OK") <= MOST_MESSAGES
        await until(lambda: len(server._connections) == 1)
    assert (await player.ask("OPTIONS")).status == 200


async def test_a_request_that_comes_in_drops_is_not_waited_for(player: Player, clock: FakeClock) -> None:
    for byte in b"OPTIONS * RTSP/1.0\r\nX: ":
        player.writer.write(bytes((byte,)))
        await clock.advance(2.0)
    assert await player.ended()


async def test_a_body_that_does_not_come_is_not_waited_for(player: Player, clock: FakeClock) -> None:
    player.writer.write(b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4000\r\n\r\nx")
    await clock.advance(31.0)
    assert await player.ended()
