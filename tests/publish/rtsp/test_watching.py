"""Who watched what over RTSP: one line as a player begins and one as it ends, whatever ends it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from faceanond.access import Access
from faceanond.config.load import parse
from faceanond.config.model import Rtsp
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from faceanond.watching import STOPPING
from tests.conftest import FakeClock
from tests.publish.rtsp.player import TCP, Player, connected
from tests.publish.sealed import packet
from tests.waiting import until

VIEWERS = parse('[viewers.guard]\npassword = "guards-password"', "c.toml").viewers
UDP = "RTP/AVP;unicast;client_port=40002-40003"
Lines = list[MutableMapping[str, Any]]


@pytest.fixture
async def stream(clock: FakeClock) -> Stream:
    stream = Stream("yard", clock=clock)
    stream.write(packet(0, keyframe=True, encoded=clock.monotonic()))
    return stream


@pytest.fixture
def told() -> Iterator[Lines]:
    with capture_logs() as lines:
        yield lines


def serving(stream: Stream, clock: FakeClock) -> RtspServer:
    return RtspServer({"yard": stream}.get, Rtsp(listen="127.0.0.1:0"), clock=clock, access=Access(VIEWERS))


def about_viewers(told: Lines) -> Lines:
    return [line for line in told if line["log_level"] != "debug" and "camera" in line]


async def play(player: Player, stream: Stream, transport: str = TCP) -> None:
    answer = await player.ask_as("guard", "guards-password", "SETUP", "/yard/trackID=0", Transport=transport)
    assert answer.status == 200
    assert (await player.ask("PLAY")).status == 200
    await until(lambda: stream.viewers().get("rtsp"))


async def test_a_player_is_told_as_it_begins_and_as_it_leaves(stream: Stream, clock: FakeClock, told: Lines) -> None:
    async with serving(stream, clock) as server, connected(server.port) as player:
        await play(player, stream)
        await clock.advance(3.0)
        await player.ask("TEARDOWN")
    same = {
        "log_level": "info",
        "camera": "yard",
        "viewer": "guard",
        "client": "127.0.0.1",
        "protocol": "rtsp",
        "transport": "tcp",
    }
    assert about_viewers(told) == [
        {"event": "viewer joined", **same},
        {"event": "viewer left", **same, "seconds": 3.0, "reason": "left"},
    ]


async def test_a_pause_ends_the_watching_and_playing_again_begins_it(
    stream: Stream, clock: FakeClock, told: Lines
) -> None:
    async with serving(stream, clock) as server, connected(server.port) as player:
        await play(player, stream)
        await player.ask("PAUSE")
        assert [line.get("reason") for line in about_viewers(told)] == [None, "paused"]
        await player.ask("TEARDOWN")
    assert len(about_viewers(told)) == 2, "who only waits watches nothing"


async def test_a_player_that_hangs_up_has_left(stream: Stream, clock: FakeClock, told: Lines) -> None:
    async with serving(stream, clock) as server:
        async with connected(server.port) as player:
            await play(player, stream)
        await until(lambda: not server.sessions)
        assert [line.get("reason") for line in about_viewers(told)] == [None, "left"]


async def test_a_player_that_is_dropped_is_told_once_and_why(stream: Stream, clock: FakeClock, told: Lines) -> None:
    async with serving(stream, clock) as server, connected(server.port) as player:
        await play(player, stream, UDP)
        await clock.advance(62.0)
        await until(lambda: not server.sessions)
    _, left = about_viewers(told)
    assert left["reason"] in ("its port is closed", "no sign of life"), "which of them is up to the kernel"


@pytest.mark.parametrize("streams_first", [True, False], ids=["streams first", "listener first"])
async def test_the_stop_of_the_server_is_told_once_as_such(
    stream: Stream, clock: FakeClock, told: Lines, streams_first: bool
) -> None:
    async with serving(stream, clock) as server, connected(server.port) as player:
        await play(player, stream)
        if streams_first:
            stream.close(STOPPING)
            await until(lambda: not server.sessions)
    assert [line.get("reason") for line in about_viewers(told)] == [None, "server stopping"]


async def test_a_player_that_was_only_set_up_has_watched_nothing(stream: Stream, clock: FakeClock, told: Lines) -> None:
    async with serving(stream, clock) as server, connected(server.port) as player:
        answer = await player.ask_as("guard", "guards-password", "SETUP", "/yard/trackID=0", Transport=TCP)
        assert answer.status == 200
    assert not about_viewers(told)


async def test_a_defect_is_told_as_such(
    stream: Stream, clock: FakeClock, told: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(stream, clock) as server, connected(server.port) as player:
        await play(player, stream)

        def broken(*_: object) -> None:
            raise ValueError("a defect")

        monkeypatch.setattr("faceanond.publish.rtp.Packetiser.pack", broken)
        stream.write(packet(1))
        await until(lambda: server.failed == 1)
    assert [line.get("reason") for line in about_viewers(told)] == [None, "internal error"]
