"""A viewer's share of places, as a viewer meets it over HTTP, and over every protocol at once."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from faceanond.access import Access
from faceanond.clock import SystemClock
from faceanond.config.load import parse
from faceanond.config.model import Http, Rtsp, WebRtc
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.service import WhepService
from faceanond.shares import Shares
from faceanond.web import mp4
from faceanond.web.app import build
from tests.publish.rtsp.player import TCP, Player, connected
from tests.publish.sealed import packet
from tests.publish.webrtc.feed import finder
from tests.publish.webrtc.offers import offer
from tests.waiting import until
from tests.web.client import Client
from tests.web.standin import Camera, Cameras, Pulse, Shelf, exposition

MOST = 3
VIEWERS = parse(
    f"""
    [viewers.guard]
    password = "guards-password"
    token = "token-of-the-guard"
    max_streams = {MOST}
    [viewers.chief]
    password = "chiefs-password"
    """,
    "c.toml",
).viewers
GUARD = {"Authorization": "Basic " + base64.b64encode(b"guard:guards-password").decode()}
TOKEN = {"Authorization": "Bearer token-of-the-guard"}
CHIEF = {"Authorization": "Basic " + base64.b64encode(b"chief:chiefs-password").decode()}
MP4, SOCKET, WHEP = "/cameras/lobby/stream.mp4", "/cameras/lobby/stream.ws", "/whep/lobby"
SDP = {"Content-Type": "application/sdp"}


@dataclass
class House:
    """Every listener, as the daemon joins them."""

    client: Client
    rtsp: RtspServer
    whep: WhepService
    shares: Shares

    async def taken(self, streams: int) -> None:
        await until(lambda: self.shares.held("guard") == streams)

    async def call(self, login: dict[str, str] = GUARD) -> aiohttp.ClientResponse:
        """An offer, and its answer."""
        return await self.client.post(WHEP, data=offer(), headers={**SDP, **login})

    async def set_up(self, player: Player, name: str = "guard") -> int:
        url = "/lobby/trackID=0"
        return (await player.ask_as(name, f"{name}s-password", "SETUP", url, Transport=TCP)).status


@pytest.fixture
async def house() -> AsyncIterator[House]:
    clock = SystemClock()
    stream = Stream("lobby", clock=clock)
    fleet = Cameras(Camera("lobby"))
    fleet.streams["lobby"] = stream
    access, shares = Access(VIEWERS), Shares(VIEWERS, clock=clock)
    whep = WhepService(finder(fleet.streams), WebRtc(), clock=clock, shares=shares)
    rtsp = RtspServer(fleet.stream, Rtsp(listen="127.0.0.1:0"), clock=clock, access=access, shares=shares)
    app = build(fleet, whep, Pulse(), exposition, Http(), access=access, shares=shares, recordings=Shelf())
    async with whep, rtsp, TestClient(TestServer(app)) as client:
        stream.write(packet(0, keyframe=True, encoded=clock.monotonic()))
        yield House(client, rtsp, whep, shares)
        stream.close()
    assert shares.held("guard") == 0


@contextlib.contextmanager
def full(house: House) -> Iterator[None]:
    """The guard has all its streams, wherever."""
    with contextlib.ExitStack() as places:
        for _ in range(MOST):
            places.enter_context(house.shares.take("guard", "rtsp"))
        yield


@pytest.mark.parametrize("path", [MP4, WHEP])
async def test_over_http_it_is_429_with_the_key_and_when_to_come_back(house: House, path: str) -> None:
    with full(house):
        response = await (house.client.get(MP4, headers=GUARD) if path == MP4 else house.call())
        assert response.status == 429
        assert response.content_type == "application/problem+json"
        assert response.headers["Retry-After"] == "12"
        assert (await response.json())["detail"] == "watching 3 of 3 streams (viewers.guard.max_streams)"


async def test_a_websocket_is_closed_with_the_reason(house: House) -> None:
    with full(house):
        async with house.client.ws_connect(SOCKET, headers=GUARD) as channel:
            told = await channel.receive()
            assert (told.type, told.data) == (WSMsgType.CLOSE, WSCloseCode.TRY_AGAIN_LATER)
            assert told.extra == "watching 3 of 3 streams (viewers.guard.max_streams)"


async def test_every_protocol_counts_and_leaving_frees_the_place_for_any_other(house: House) -> None:
    call = await house.call()
    assert call.status == 201
    async with contextlib.AsyncExitStack() as later:
        player = await later.enter_async_context(connected(house.rtsp.port))
        assert await house.set_up(player) == 200
        watching = await later.enter_async_context(house.client.get(MP4, headers=GUARD))
        assert watching.status == 200
        await house.taken(MOST)

        # Full for each of them, and for this viewer alone.
        assert (await house.call()).status == 429
        assert (await house.client.get(MP4, headers=TOKEN)).status == 429, "a token is the same viewer's"
        async with connected(house.rtsp.port) as other:
            assert await house.set_up(other) == 503
        async with house.client.ws_connect(SOCKET, headers=GUARD) as channel:
            assert (await channel.receive()).type is WSMsgType.CLOSE
        assert (await house.call(CHIEF)).status == 201
        assert house.shares.held("guard") == MOST

        # Each one that leaves makes room for one of another kind.
        assert (await house.client.delete(call.headers["Location"], headers=GUARD)).status == 200
        async with connected(house.rtsp.port) as other:
            assert await house.set_up(other) == 200
            assert (await house.call()).status == 429
            assert (await player.ask("TEARDOWN")).status == 200
            call = await house.call()
            assert call.status == 201
            watching.close()
            await house.taken(MOST - 1)
            async with house.client.ws_connect(SOCKET, headers=GUARD):
                await house.taken(MOST)
                assert (await house.client.get(MP4, headers=GUARD)).status == 429
            await house.taken(MOST - 1)
        await house.taken(1)
        assert (await house.client.delete(call.headers["Location"], headers=GUARD)).status == 200
        await house.taken(0)


async def test_what_is_no_stream_takes_no_place_and_needs_none(house: House) -> None:
    for taken in (0, MOST):
        with full(house) if taken else contextlib.nullcontext():
            for path in ("/", "/api/cameras", "/cameras/lobby/snapshot.jpg", "/api/cameras/lobby/recordings"):
                assert (await house.client.get(path, headers=GUARD)).status == 200
            assert (await house.client.head(MP4, headers=GUARD)).status == 200
            assert (await house.client.head(WHEP, headers=GUARD)).status == 200
            assert house.shares.held("guard") == taken


async def test_a_stream_that_never_begins_gives_its_place_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp4, "START_WITHIN", 0.01)

    async def silent(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("faceanond.publish.mp4_feed.Mp4Feed.start", silent)
    for _ in range(MOST + 1):
        assert (await house.client.get(MP4, headers=GUARD)).status == 503
    async with house.client.ws_connect(SOCKET, headers=GUARD) as channel:
        assert "no picture" in str((await channel.receive()).extra)
    await house.taken(0)
