from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiortc import RTCPeerConnection
from pydantic import SecretStr

from faceanond.clock import Clock, SystemClock
from faceanond.config.model import Push, WebRtc
from faceanond.errors import PushError, PushFault
from faceanond.publish.push.network import Network
from faceanond.publish.push.target import target
from faceanond.publish.stream import KEYFRAME_SPACING, Stream, StreamClosedError
from faceanond.publish.webrtc import ice
from faceanond.publish.webrtc import whip as module
from faceanond.publish.webrtc.errors import NoFreePortError
from faceanond.publish.webrtc.sending import SharedSending
from faceanond.publish.webrtc.whip import HANDSHAKE, SILENCE, WhipPush
from tests.conftest import FakeClock
from tests.publish.webrtc.feed import Pattern, feed
from tests.publish.webrtc.whip_server import WhipServer, whip
from tests.waiting import until


@dataclass
class Pushing:
    """A push that runs beside the test."""

    push: WhipPush
    stream: Stream
    task: asyncio.Task[Exception]
    up: list[bool] = field(default_factory=list)

    async def error(self) -> Exception:
        await until(self.task.done)
        return self.task.result()

    async def fault(self) -> PushFault:
        error = await self.error()
        assert isinstance(error, PushError), error
        return error.fault


@asynccontextmanager
async def pushing(url: str, *, clock: Clock | None = None, settings: WebRtc | None = None) -> AsyncIterator[Pushing]:
    """A push of a moving pattern in real time; with a clock of its own, of one keyframe."""
    real = SystemClock()
    stream = Stream("yard", clock=real)
    place = target("yard", Push(url=url, token=SecretStr("geheim")))
    assert place is not None
    up: list[bool] = []
    async with Network(clock=clock or real) as network, asyncio.TaskGroup() as tasks:
        filming = tasks.create_task(feed(stream, Pattern(), real), name="film")
        await stream.described()
        push = WhipPush(
            place, stream, network, settings or WebRtc(), clock=clock or real, connected=lambda: up.append(True)
        )

        async def outcome() -> Exception:
            try:
                await push.run()
            except (PushError, StreamClosedError, ZeroDivisionError) as error:
                return error
            raise AssertionError("a push ends with an error")

        task = tasks.create_task(outcome(), name="push")
        try:
            yield Pushing(push, stream, task, up)
        finally:
            task.cancel()
            filming.cancel()


async def test_a_server_gets_the_pictures_and_a_goodbye() -> None:
    server = WhipServer()
    async with whip(server) as url:
        async with pushing(url) as one:
            await until(lambda: len(server.frames) >= 10)
            assert one.up == [True]
            assert one.stream.output_bytes["push_whip"] > 0
            assert one.stream.viewers() == {}
        assert server.deleted == ["/session/1"]
    assert (server.frames[0].width, server.frames[0].height) == (320, 180)
    assert server.tokens == ["Bearer geheim"] * 2
    offer = server.offers[0]
    assert "a=sendonly" in offer
    assert "a=setup:actpass" in offer
    assert offer.count("m=") == 1


async def test_a_server_that_lost_the_picture_gets_a_keyframe() -> None:
    server = WhipServer()
    async with whip(server) as url, pushing(url) as one:
        await until(lambda: server.frames)
        async with one.stream.subscribe("test") as reader:
            # The one that this reader starts with, and the time in which no other would be granted.
            assert (await reader.get()).keyframe
            await asyncio.sleep(KEYFRAME_SPACING)
            while reader._ring:
                assert not (await reader.get()).keyframe
            (receiver,) = server.peers[0].getReceivers()
            (ssrc,) = {source.source for source in receiver.getSynchronizationSources()}
            await receiver._send_rtcp_pli(ssrc)
            async with asyncio.timeout(5):
                while not (await reader.get()).keyframe:
                    pass


async def test_a_server_that_hangs_up_ends_the_push() -> None:
    server = WhipServer()
    async with whip(server) as url, pushing(url) as one:
        await until(lambda: server.frames)
        await server.peers[0].close()
        assert await one.fault() is PushFault.CLOSED


async def test_a_defect_in_sending_ends_the_push_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SharedSending, "_send", broken)
    server = WhipServer()
    async with whip(server) as url, pushing(url) as one:
        assert isinstance(await one.error(), ZeroDivisionError)
        assert server.deleted == ["/session/1"]


async def test_a_camera_that_is_taken_away_ends_the_push_for_good() -> None:
    server = WhipServer()
    async with whip(server) as url, pushing(url) as one:
        await until(lambda: server.frames)
        one.stream.close()
        assert isinstance(await one.error(), StreamClosedError)
    assert server.deleted == ["/session/1"]


async def test_an_answer_that_makes_no_sense_is_told_and_the_session_deleted() -> None:
    server = WhipServer()
    server.script = [server.created("v=0\r\nnonsense")]
    async with whip(server) as url, pushing(url) as one:
        assert await one.fault() is PushFault.MALFORMED
    assert server.deleted == ["/session/1"]


async def test_what_aiortc_stumbles_over_is_told_as_the_servers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stumbling(RTCPeerConnection):
        async def setRemoteDescription(self, _: object) -> None:  # noqa: N802 (aiortc's name)
            raise KeyError("whatever")

    monkeypatch.setattr("faceanond.publish.webrtc.peer.RTCPeerConnection", Stumbling)
    server = WhipServer()
    async with whip(server) as url, pushing(url) as one:
        assert await one.fault() is PushFault.MALFORMED


async def test_without_a_free_port_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(*_: object, **__: object) -> None:
        raise NoFreePortError("no UDP port of this machine is free")

    monkeypatch.setattr(ice.EdgeConnection, "get_component_candidates", none)
    server = WhipServer()
    async with whip(server) as url, pushing(url) as one:
        error = await one.error()
        assert isinstance(error, PushError)
        assert error.fault is PushFault.UNREACHABLE
        assert "no UDP port" in str(error)
    assert server.offers == []


class Silent(WhipServer):
    """Takes the offer, and is gone: no connection ever comes about."""

    async def answer(self, offer: str) -> str:
        text = await super().answer(offer)
        await self.peers[0].close()
        return text


async def test_a_server_that_takes_the_offer_and_is_never_heard_of_is_given_up(clock: FakeClock) -> None:
    server = Silent()
    async with whip(server) as url, pushing(url, clock=clock) as one:
        await until(lambda: server.offers)
        for _ in range(200):
            await clock.advance(HANDSHAKE / 50)
            if one.task.done():
                break
            await asyncio.sleep(0.01)
        error = await one.error()
        assert isinstance(error, PushError)
        assert error.fault is PushFault.UNREACHABLE
        assert "webrtc.ice_servers" in str(error)
    assert server.deleted == ["/session/1"]


async def test_a_server_whose_reports_stop_is_given_up(clock: FakeClock) -> None:
    server = WhipServer()
    async with whip(server) as url, pushing(url, clock=clock) as one:
        await until(lambda: server.frames)
        await until(lambda: one.push._heard is not None)
        (receiver,) = server.peers[0].getReceivers()
        receiver._RTCRtpReceiver__rtcp_task.cancel()
        await receiver._RTCRtpReceiver__rtcp_exited.wait()
        await clock.advance(HANDSHAKE + 0.1)
        await clock.advance(SILENCE + module.WATCH_EVERY + 0.1)
        assert await one.fault() is PushFault.STALLED


async def test_nothing_is_left_of_a_push() -> None:
    before = asyncio.all_tasks()
    server = WhipServer()
    async with whip(server) as url:
        async with pushing(url) as one:
            await until(lambda: server.frames)
        assert not one.stream._readers
    await until(lambda: asyncio.all_tasks() == before)
    assert all(peer.connectionState == "closed" for peer in server.peers if isinstance(peer, RTCPeerConnection))
