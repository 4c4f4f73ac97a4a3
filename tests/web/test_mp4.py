from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, MutableMapping
from typing import Any

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from faceanond.access import OPEN, Access
from faceanond.clock import SystemClock
from faceanond.config.load import parse as parse_config
from faceanond.config.model import Http
from faceanond.publish import fmp4, h264
from faceanond.publish.mp4_feed import Mp4Feed
from faceanond.publish.packet import EncodedPacket
from faceanond.publish.stream import Stream
from faceanond.watching import STOPPING
from faceanond.web import mp4, receiver
from faceanond.web.app import build
from tests.publish.sealed import packet
from tests.publish.test_fmp4 import parse, samples
from tests.waiting import until
from tests.web.client import Answering, Client
from tests.web.standin import Camera, Cameras, Pulse, exposition

MP4 = "/cameras/lobby/stream.mp4"
SOCKET = "/cameras/lobby/stream.ws"
SETS = h264.parameter_sets(packet(0, keyframe=True).data)
assert SETS is not None
HEAD = fmp4.init_segment(SETS, 64, 48)
LARGE = 400_000
"""Bytes of a picture, so that a few fill every buffer between us and a viewer who takes nothing."""


@contextlib.asynccontextmanager
async def watching(settings: Http | None = None) -> AsyncIterator[tuple[Client, Stream]]:
    """A client, and the stream of camera "lobby"; camera "dark" has none."""
    fleet = Cameras(Camera("lobby"), Camera("dark"))
    stream = fleet.streams["lobby"] = Stream("lobby", clock=SystemClock())
    app = build(fleet, Answering(), Pulse(), exposition, settings or Http(), access=OPEN)
    async with TestClient(TestServer(app)) as client:
        try:
            yield client, stream
        finally:
            stream.close()


def write(stream: Stream, *indices: int, size: int = 100) -> None:
    for index in indices:
        stream.write(fresh(index, size=size))


def fresh(index: int, *, size: int = 100) -> EncodedPacket:
    """Number 0 is a keyframe; none is so old that a new viewer would start with it."""
    return packet(index, keyframe=index == 0, size=size, encoded=0.0)


async def joined(stream: Stream, viewers: int = 1) -> None:
    await until(lambda: stream.viewers().get("mp4") == viewers)


async def test_a_player_gets_an_endless_mp4() -> None:
    async with watching() as (client, stream), asyncio.TaskGroup() as group:
        asking = group.create_task(client.get(MP4, headers={"Range": "bytes=0-"}))
        await joined(stream)
        write(stream, 0, 1, 2)
        response = await asking
        assert response.status == 200, "ranges are ignored"
        assert response.headers["Content-Type"] == 'video/mp4; codecs="avc1.42C01F"'
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Accept-Ranges"] == "none"
        assert await response.content.readexactly(len(HEAD)) == HEAD
        stream.close()
        rest = await response.read()
        kinds = [box.kind for box in parse(rest)]
        assert kinds == [b"moof", b"mdat"] * 2, "the last picture has no end yet"
        assert response.connection is None, "the connection ends with the stream"


async def test_head_tells_the_type_and_costs_nothing() -> None:
    async with watching() as (client, stream):
        response = await client.head(MP4)
        assert response.status == 200
        assert response.content_type == "video/mp4"
        assert stream.viewers() == {}


@pytest.mark.parametrize(("path", "status"), [("/cameras/none/stream.mp4", 404), ("/cameras/dark/stream.mp4", 409)])
async def test_what_cannot_be_watched_is_told(path: str, status: int) -> None:
    async with watching() as (client, _):
        response = await client.get(path)
        assert response.status == status
        assert (await response.json())["detail"]


async def test_a_camera_without_pictures_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp4, "START_WITHIN", 0.01)
    async with watching() as (client, stream):
        response = await client.get(MP4)
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        assert stream.viewers() == {"mp4": 0}


async def test_a_stream_that_ends_before_its_first_picture_is_told() -> None:
    async with watching() as (client, stream), asyncio.TaskGroup() as group:
        asking = group.create_task(client.get(MP4))
        await joined(stream)
        stream.close()
        assert (await asking).status == 409


async def test_another_size_ends_the_answer_in_order() -> None:
    async with watching() as (client, stream), asyncio.TaskGroup() as group:
        asking = group.create_task(client.get(MP4))
        await joined(stream)
        write(stream, 0, 1)
        other = fresh(0)
        stream.write(EncodedPacket(**{**fields(other), "timestamp": 99_999, "width": 128}))
        response = await asking
        assert len(parse((await response.read())[len(HEAD) :])) == 2
        assert stream.viewers() == {"mp4": 0}


def fields(one: EncodedPacket) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}


async def test_there_are_only_so_many_places_for_both_ways_together() -> None:
    async with watching(Http(max_streams=1)) as (client, stream), client.ws_connect(SOCKET) as channel:
        await joined(stream)
        response = await client.get(MP4)
        assert response.status == 503
        assert response.headers["Retry-After"] == "10"
        assert "http.max_streams" in (await response.json())["detail"]
        async with client.ws_connect(SOCKET) as late:
            told = await late.receive()
            assert (told.type, told.data) == (WSMsgType.CLOSE, WSCloseCode.TRY_AGAIN_LATER)
            assert "http.max_streams" in str(told.extra)
        await channel.close()
        await joined(stream, 0)
        async with client.ws_connect(SOCKET):
            await joined(stream)


async def test_a_websocket_is_told_what_comes_and_gets_each_picture_at_once() -> None:
    async with watching() as (client, stream), client.ws_connect(SOCKET) as channel:
        await joined(stream)
        write(stream, 0)
        assert json.loads(await channel.receive_str()) == {"type": 'video/mp4; codecs="avc1.42C01F"', "hold": 0.5}
        assert await channel.receive_bytes() == HEAD
        for index in range(1, 4):
            number, (sample,) = samples(await channel.receive_bytes())
            assert number == index
            assert sample.sync == (index == 1)
            write(stream, index)


async def test_a_websocket_goes_on_with_another_size() -> None:
    async with watching() as (client, stream), client.ws_connect(SOCKET) as channel:
        await joined(stream)
        write(stream, 0)
        for _ in range(3):
            await channel.receive()
        stream.write(EncodedPacket(**{**fields(fresh(0)), "timestamp": 3600, "width": 128}))
        assert json.loads(await channel.receive_str())["hold"] == 0.5
        assert await channel.receive_bytes() == fmp4.init_segment(SETS, 128, 48)
        number, (sample,) = samples(await channel.receive_bytes())
        assert (number, sample.time) == (2, 3600)


async def test_the_end_of_the_camera_closes_the_websocket() -> None:
    async with watching() as (client, stream), client.ws_connect(SOCKET) as channel:
        await joined(stream)
        stream.close()
        told = await channel.receive()
        assert (told.type, told.data) == (WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)


@pytest.mark.parametrize("size", [1, 2000], ids=["a word", "a flood"])
async def test_a_websocket_viewer_has_nothing_to_say(size: int) -> None:
    async with watching() as (client, stream), client.ws_connect(SOCKET) as channel:
        await joined(stream)
        await channel.send_bytes(bytes(size))
        assert (await channel.receive()).type is WSMsgType.CLOSE
        await joined(stream, 0)


@pytest.mark.parametrize("path", ["/cameras/none/stream.ws", "/cameras/dark/stream.ws"])
async def test_a_websocket_of_no_camera_is_refused_as_any_request(path: str) -> None:
    async with watching() as (client, _):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.ws_connect(path)


async def test_a_page_of_another_origin_opens_no_websocket() -> None:
    """No browser asks before it opens one, nor keeps from the page what comes."""
    async with watching() as (client, stream):
        for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await client.ws_connect(SOCKET, origin=origin)
            assert caught.value.status == 403
        assert stream.viewers() == {}
        async with client.ws_connect(SOCKET, origin=str(client.make_url("/")).rstrip("/")):
            await joined(stream)


async def test_a_page_of_an_allowed_origin_may() -> None:
    settings = Http(allowed_origins=("https://wall.example.org",))
    async with watching(settings) as (client, stream), client.ws_connect(SOCKET, origin="https://wall.example.org"):
        await joined(stream)


@contextlib.asynccontextmanager
async def greedy(client: Client, request: str) -> AsyncIterator[asyncio.StreamWriter]:
    """A viewer that asks and then reads nothing."""
    reader, writer = await asyncio.open_connection(client.host, client.port, limit=1024)
    del reader
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    writer.write(request.encode())
    try:
        yield writer
    finally:
        writer.transport.abort()


def plain(client: Client) -> str:
    return f"GET {MP4} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n"


def upgrade(client: Client) -> str:
    return (
        f"GET {SOCKET} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )


both_ways = pytest.mark.parametrize("way", [plain, upgrade], ids=["http", "websocket"])


@both_ways
async def test_a_viewer_that_takes_nothing_is_cut_off(
    way: Callable[[Client], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "STUCK", 0.2)
    async with watching() as (client, stream), greedy(client, way(client)):
        await joined(stream)
        index = 0
        async with asyncio.timeout(10):
            while stream.viewers()["mp4"]:
                stream.write(fresh(index, size=LARGE))
                index += 1
                await asyncio.sleep(0.001)
        assert stream.dropped > 0, "the ring filled and dropped meanwhile"


@both_ways
async def test_a_viewer_that_leaves_is_noticed_although_the_camera_is_silent(
    way: Callable[[Client], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "LOOK", 0.01)
    async with watching() as (client, stream):
        async with greedy(client, way(client)):
            await joined(stream)
            write(stream, 0)
            await until(lambda: stream.output_bytes.get("mp4"))
        await joined(stream, 0)


async def test_a_viewer_that_is_gone_before_its_ping_is_answered_is_no_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def receive(_: web.WebSocketResponse) -> aiohttp.WSMessage:
        raise aiohttp.ClientConnectionResetError("Connection lost")  # where the answer would have been sent

    monkeypatch.setattr(web.WebSocketResponse, "receive", receive)
    async with watching() as (client, stream), greedy(client, upgrade(client)):
        await joined(stream, 0)
    assert "request failed" not in capsys.readouterr().out


async def test_viewers_who_come_and_go_leave_nothing_behind() -> None:
    async with watching() as (client, stream):
        for _ in range(20):
            async with client.ws_connect(SOCKET):
                await joined(stream)
                write(stream, 0, 1)
            await joined(stream, 0)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert not [name for name in names if name.startswith("mp4 viewer")]


# Who watched


def told_of(lines: list[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    return [line for line in lines if line["event"].startswith("viewer ")]


@both_ways
@pytest.mark.parametrize(
    ("how", "reason"),
    [("leaves", "left"), ("stops", "server stopping"), ("stuck", "takes too little"), ("broken", "internal error")],
)
async def test_the_log_tells_who_watches_how_long_and_why_no_longer(
    way: Callable[[Client], str], how: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "STUCK", 0.2)
    monkeypatch.setattr(receiver, "LOOK", 0.01)
    with capture_logs() as told:
        async with watching() as (client, stream), greedy(client, way(client)) as writer:
            await joined(stream)
            write(stream, 0)
            match how:
                case "leaves":
                    writer.transport.abort()
                case "stops":
                    stream.close(STOPPING)
                case "stuck":
                    index = 1
                    while stream.viewers()["mp4"]:
                        stream.write(fresh(index, size=LARGE))
                        index += 1
                        await asyncio.sleep(0.001)
                case "broken":
                    monkeypatch.setattr(Mp4Feed, "get", broken)
                    write(stream, 1)
            await joined(stream, 0)
    came, left = told_of(told)
    same = {
        "log_level": "info",
        "camera": "lobby",
        "viewer": "",
        "client": "127.0.0.1",
        "protocol": "mp4",
        "transport": "http" if way is plain else "websocket",
    }
    assert came == {"event": "viewer joined", **same}
    assert 0 <= left.pop("seconds") < 60
    assert left == {"event": "viewer left", **same, "reason": reason}


async def broken(_: Mp4Feed) -> bytes:
    raise ValueError("a defect")


async def test_the_log_names_the_viewer_that_logged_in() -> None:
    viewers = parse_config('[viewers.guard]\ntoken = "guards-secret-token"', "c.toml").viewers
    fleet = Cameras(Camera("lobby"))
    stream = fleet.streams["lobby"] = Stream("lobby", clock=SystemClock())
    app = build(fleet, Answering(), Pulse(), exposition, Http(), access=Access(viewers))
    login = {"Authorization": "Bearer guards-secret-token"}
    with capture_logs() as told:
        async with TestClient(TestServer(app)) as client, client.ws_connect(SOCKET, headers=login):
            await joined(stream)
            stream.close(STOPPING)
    assert [line["viewer"] for line in told_of(told)] == ["guard", "guard"]
