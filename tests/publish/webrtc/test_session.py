from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from faceanond.config.model import Encode
from faceanond.publish.encoder import Encoder
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc import session as module
from faceanond.publish.webrtc.errors import OfferError
from faceanond.publish.webrtc.ice import Network
from faceanond.publish.webrtc.sdp import read_offer
from faceanond.publish.webrtc.session import Session
from faceanond.shares import Place, Shares
from tests.conftest import FakeClock
from tests.publish.sealed import moving
from tests.publish.webrtc.offers import VIDEO, offer
from tests.waiting import until


def make(clock: FakeClock, sdp: str | None = None, place: Place | None = None) -> Session:
    read = read_offer(sdp or offer())
    return Session(
        "lobby",
        Stream("lobby", clock=clock, codec=read.codec),
        read,
        configuration=RTCConfiguration(iceServers=[]),
        network=Network(),
        local="127.0.0.1",
        clock=clock,
        place=place or Shares({}, clock=clock).take("", "webrtc"),
    )


async def test_constrained_baseline_is_preferred_to_baseline(clock: FakeClock) -> None:
    session = make(clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(session.run())
        answer = await session.answer()
        session.end("test over")
    profiles = [line.rpartition("=")[2] for line in answer.splitlines() if "profile-level-id" in line]
    assert profiles == ["42e01f", "42001f"]


async def test_an_offer_without_h264_is_answered_in_vp8_alone(clock: FakeClock) -> None:
    session = make(clock, offer(VIDEO.replace("H264", "H265")))
    async with asyncio.TaskGroup() as group:
        group.create_task(session.run())
        answer = await session.answer()
        session.end("test over")
    assert [line for line in answer.splitlines() if line.startswith("a=rtpmap")] == ["a=rtpmap:96 VP8/90000"]


async def test_a_session_that_is_to_end_gives_its_place_back_before_it_is_closed(clock: FakeClock) -> None:
    shares = Shares({}, clock=clock)
    session = make(clock, place=shares.take("guard", "webrtc"))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(session.run())
        await session.answer()
        assert shares.held("guard") == 1
        session.end("viewer left")
        assert shares.held("guard") == 0
        assert not running.done()
    session.end("again")
    assert shares.held("guard") == 0


async def test_the_answer_declares_the_level_of_the_stream(clock: FakeClock) -> None:
    session = make(clock)
    encoder = Encoder("lobby", Encode(preset="ultrafast"), clock=clock)
    for packet in encoder.encode(moving(0, width=1920, height=1080)):
        session._stream.write(packet)
    async with asyncio.TaskGroup() as group:
        group.create_task(session.run())
        answer = await session.answer()
        session.end("test over")
    assert "profile-level-id=42e028" in answer
    assert "profile-level-id=42e01f" not in answer


async def test_the_first_reason_to_end_counts(clock: FakeClock) -> None:
    session = make(clock)
    session.end("first")
    session.end("second")
    assert session._reason == "first"


async def test_a_refusal_after_the_answer_changes_nothing(clock: FakeClock) -> None:
    session = make(clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(session.run())
        answer = await session.answer()
        session.refuse(OfferError("too late"))
        assert await session.answer() == answer


async def test_a_negotiation_that_takes_too_long_is_an_offer_error(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(RTCPeerConnection, "setRemoteDescription", hang)
    monkeypatch.setattr(module, "NEGOTIATION", 0.01)
    session = make(clock)
    await session.run()
    with pytest.raises(OfferError, match="STUN"):
        await session.answer()


@pytest.mark.parametrize("cancelled", [False, True], ids=["hangs", "cancelled"])
async def test_a_connection_that_does_not_close_loses_its_sockets(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    closed = RTCPeerConnection.close
    stuck: list[RTCPeerConnection] = []

    async def hang(connection: RTCPeerConnection) -> None:
        stuck.append(connection)
        await asyncio.Event().wait()

    monkeypatch.setattr(RTCPeerConnection, "close", hang)
    if not cancelled:
        monkeypatch.setattr("faceanond.publish.webrtc.peer.CLOSING", 0.01)
    session = make(clock)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(session.run())
        await session.answer()
        session.end("test over")
        await until(lambda: stuck)
        if cancelled:
            running.cancel()
    (connection,) = stuck
    protocols = connection.getTransceivers()[0].receiver.transport.transport._connection._protocols
    assert protocols
    assert all(protocol.transport.is_closing() for protocol in protocols)
    await closed(connection)
