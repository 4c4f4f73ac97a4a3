"""A viewer's share of places: every way in which a player leaves gives its place back, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from faceanond.access import Access
from faceanond.config.load import parse
from faceanond.config.model import Rtsp
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from faceanond.shares import Shares
from tests.conftest import FakeClock
from tests.publish.rtsp.player import TCP, Answer, Player, connected
from tests.publish.sealed import packet
from tests.waiting import until

TEXT = """
[viewers.guard]
password = "guards-password"
max_streams = 1
[viewers.chief]
password = "chiefs-password"
"""
VIEWERS = parse(TEXT, "c.toml").viewers
UDP = "RTP/AVP;unicast;client_port=40000-40001"


@pytest.fixture
def shares(clock: FakeClock) -> Shares:
    return Shares(VIEWERS, clock=clock)


@pytest.fixture
async def stream(clock: FakeClock) -> Stream:
    stream = Stream("yard", clock=clock)
    stream.write(packet(0, keyframe=True, encoded=clock.monotonic()))
    return stream


@pytest_asyncio.fixture
async def server(clock: FakeClock, shares: Shares, stream: Stream) -> AsyncIterator[RtspServer]:
    settings = Rtsp(listen="127.0.0.1:0", max_sessions=2)
    access = Access(VIEWERS)
    async with RtspServer({"yard": stream}.get, settings, clock=clock, access=access, shares=shares) as server:
        yield server


@pytest_asyncio.fixture
async def player(server: RtspServer) -> AsyncIterator[Player]:
    async with connected(server.port) as player:
        yield player


async def set_up(player: Player, name: str = "guard", transport: str = TCP) -> Answer:
    return await player.ask_as(name, f"{name}s-password", "SETUP", "/yard/trackID=0", Transport=transport)


async def test_a_viewer_that_is_over_its_share_is_told_when_to_come_back(
    server: RtspServer, shares: Shares, player: Player
) -> None:
    assert (await set_up(player)).status == 200
    async with connected(server.port) as other:
        answer = await set_up(other)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "12")
        assert (await other.ask_as("guard", "guards-password", "DESCRIBE")).status == 200, "the connection goes on"
    async with connected(server.port) as chief:
        assert (await set_up(chief, "chief")).status == 200
    assert shares.held("guard") == 1


async def test_looking_at_a_camera_takes_no_place(shares: Shares, player: Player) -> None:
    assert (await player.ask_as("guard", "guards-password", "DESCRIBE")).status == 200
    assert shares.held("guard") == 0


async def test_a_second_setup_of_the_same_session_takes_no_second_place(shares: Shares, player: Player) -> None:
    for _ in range(2):
        assert (await set_up(player)).status == 200
    assert shares.held("guard") == 1


async def test_a_player_that_tears_down_may_set_up_again(shares: Shares, player: Player) -> None:
    for _ in range(3):
        assert (await set_up(player)).status == 200
        assert (await player.ask("PLAY")).status == 200
        assert (await player.ask("TEARDOWN")).status == 200
        player.session = ""
        assert shares.held("guard") == 0


async def test_a_setup_that_fails_gives_its_place_back(
    shares: Shares, player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OSError("no port is free")

    monkeypatch.setattr("faceanond.publish.rtsp.delivery.bind_pair", full)
    assert (await set_up(player, transport=UDP)).status != 200
    assert shares.held("guard") == 0


async def test_a_player_whose_connection_breaks_gives_its_place_back(server: RtspServer, shares: Shares) -> None:
    async with connected(server.port) as player:
        await set_up(player)
        await player.ask("PLAY")
        player.writer.transport.abort()
        await until(lambda: not shares.held("guard"))


async def test_a_player_that_is_silent_over_udp_gives_its_place_back(
    shares: Shares, player: Player, clock: FakeClock
) -> None:
    assert (await set_up(player, transport=UDP)).status == 200
    await clock.advance(59.0)
    assert shares.held("guard") == 1
    await clock.advance(2.0)
    assert shares.held("guard") == 0
    await player.ended()
    assert shares.held("guard") == 0


async def test_a_camera_that_ends_gives_the_places_back(shares: Shares, player: Player, stream: Stream) -> None:
    await set_up(player)
    await player.ask("PLAY")
    stream.close()
    await until(lambda: not shares.held("guard"))


async def test_a_viewer_for_whom_the_process_has_no_place_keeps_its_share(
    server: RtspServer, shares: Shares, player: Player
) -> None:
    async with connected(server.port) as one, connected(server.port) as two:
        for chief in (one, two):
            assert (await set_up(chief, "chief")).status == 200
        answer = await set_up(player)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        assert shares.held("guard") == 0


async def test_a_server_that_stops_gives_all_places_back(clock: FakeClock, shares: Shares, stream: Stream) -> None:
    settings = Rtsp(listen="127.0.0.1:0")
    find = {"yard": stream}.get
    async with AsyncExitStack() as later:
        async with RtspServer(find, settings, clock=clock, access=Access(VIEWERS), shares=shares) as server:
            await set_up(await later.enter_async_context(connected(server.port)))
            assert shares.held("guard") == 1
        assert shares.held("guard") == 0
