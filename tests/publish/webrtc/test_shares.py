"""A viewer's share of places: every way in which a session ends gives its place back, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from faceanond.config.load import parse
from faceanond.config.model import WebRtc
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.errors import MalformedOfferError, NoStreamError, OfferError, TooManyViewersError
from faceanond.publish.webrtc.service import WhepService
from faceanond.shares import OverShareError, Shares
from tests.conftest import FakeClock
from tests.publish.webrtc.feed import finder, live, viewer
from tests.publish.webrtc.offers import offer
from tests.waiting import until

VIEWERS = parse('[viewers.guard]\npassword = "guards-password"\nmax_streams = 1', "c.toml").viewers


@pytest.fixture
def shares(clock: FakeClock) -> Shares:
    return Shares(VIEWERS, clock=clock)


@pytest_asyncio.fixture
async def service(clock: FakeClock, shares: Shares) -> AsyncIterator[WhepService]:
    streams = finder({"lobby": Stream("lobby", clock=clock)})
    async with WhepService(streams, WebRtc(max_viewers=2), clock=clock, shares=shares) as service:
        yield service


async def ask(service: WhepService, camera: str = "lobby", sdp: str | None = None, owner: str = "guard") -> str:
    return (await service.offer(camera, sdp or offer(), local="127.0.0.1", owner=owner)).session_id


async def test_a_viewer_that_is_over_its_share_is_refused_and_others_are_not(
    service: WhepService, shares: Shares
) -> None:
    await ask(service)
    with pytest.raises(OverShareError, match=r"viewers\.guard\.max_streams"):
        await ask(service)
    assert shares.held("guard") == service.sessions == 1
    await ask(service, owner="chief")


async def test_a_viewer_that_leaves_may_come_again_at_once(service: WhepService, shares: Shares) -> None:
    for _ in range(2):
        session = await ask(service)
        assert await service.end(session, camera="lobby", owner="guard")
        assert await service.end(session, camera="lobby", owner="guard"), "the page repeats what may have been lost"
    await until(lambda: not service.sessions)
    assert shares.held("guard") == 0


async def test_what_another_viewer_asks_to_end_keeps_its_place(service: WhepService, shares: Shares) -> None:
    session = await ask(service)
    assert not await service.end(session, camera="lobby", owner="chief")
    assert shares.held("guard") == 1


async def test_an_offer_that_never_connects_gives_its_place_back(
    service: WhepService, shares: Shares, clock: FakeClock
) -> None:
    await ask(service)
    await clock.advance(8.9)
    assert shares.held("guard") == 1
    await clock.advance(0.2)
    assert shares.held("guard") == 0
    await until(lambda: not service.sessions)
    assert shares.held("guard") == 0


async def test_a_viewer_that_was_killed_is_locked_out_for_twelve_seconds_at_most(
    shares: Shares, clock: FakeClock
) -> None:
    async with live("lobby", clock=clock, shares=shares) as (service, streams), viewer() as one:
        answer = await service.offer("lobby", await one.offer(), local="127.0.0.1", owner="guard")
        await one.accept(answer)
        await until(lambda: streams["lobby"].viewers() == {"webrtc": 1})
        one.transceiver.receiver._RTCRtpReceiver__rtcp_task.cancel()  # type: ignore[attr-defined]
        await clock.advance(9)
        with pytest.raises(OverShareError) as caught:
            await ask(service)
        await clock.advance(caught.value.retry_after)
        await ask(service)


async def test_a_viewer_that_closes_its_connection_gives_its_place_back(shares: Shares) -> None:
    async with live("lobby", shares=shares) as (service, streams):
        async with viewer() as one:
            await one.accept(await service.offer("lobby", await one.offer(), local="127.0.0.1", owner="guard"))
            await one.picture()
            assert shares.held("guard") == 1
        await until(lambda: not shares.held("guard"))
        await until(lambda: not streams["lobby"].viewers()["webrtc"])


async def test_a_camera_that_ends_gives_the_places_back(shares: Shares) -> None:
    async with live("lobby", shares=shares) as (service, streams), viewer() as one:
        await one.accept(await service.offer("lobby", await one.offer(), local="127.0.0.1", owner="guard"))
        await one.picture()
        streams["lobby"].close()
        await until(lambda: not shares.held("guard"))


async def test_an_offer_that_cannot_be_answered_takes_no_place(
    service: WhepService, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MalformedOfferError):
        await ask(service, sdp="v=1")
    with pytest.raises(NoStreamError):
        await ask(service, "attic")

    async def choke(*_: object) -> None:
        raise KeyError("aiortc's parser")

    monkeypatch.setattr("aiortc.RTCPeerConnection.setRemoteDescription", choke)
    for _ in range(2):
        with pytest.raises(MalformedOfferError):
            await ask(service)
        assert shares.held("guard") == 0


async def test_a_viewer_for_whom_the_process_has_no_place_keeps_its_share(service: WhepService, shares: Shares) -> None:
    for _ in range(2):
        await ask(service, owner="chief")
    with pytest.raises(TooManyViewersError):
        await ask(service)
    assert shares.held("guard") == 0


async def test_a_session_that_cannot_begin_gives_its_place_back(
    service: WhepService, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("shutting down")

    monkeypatch.setattr("faceanond.publish.webrtc.service.Session", fail)
    with pytest.raises(RuntimeError):
        await ask(service)
    assert shares.held("guard") == 0


async def test_an_abandoned_offer_gives_its_place_back(
    service: WhepService, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = asyncio.Event()

    async def hang(*_: object) -> None:
        entered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("aiortc.RTCPeerConnection.setRemoteDescription", hang)
    monkeypatch.setattr("faceanond.publish.webrtc.session.NEGOTIATION", 0.2)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ask(service))
        await entered.wait()
        assert shares.held("guard") == 1
        asking.cancel()
    assert shares.held("guard") == 0
    await until(lambda: not service.sessions)
    assert shares.held("guard") == 0


async def test_a_service_that_stops_gives_all_places_back(clock: FakeClock, shares: Shares) -> None:
    streams = finder({"lobby": Stream("lobby", clock=clock)})
    async with WhepService(streams, WebRtc(), clock=clock, shares=shares) as service:
        await ask(service)
    assert shares.held("guard") == 0
    with pytest.raises(OfferError):
        await ask(service)
    assert shares.held("guard") == 0


async def test_a_session_whose_task_is_cancelled_before_it_began_gives_its_place_back(
    clock: FakeClock, shares: Shares
) -> None:
    async def fail() -> None:
        async with service, asyncio.TaskGroup() as group:
            asking = group.create_task(ask(service))
            await asyncio.sleep(0)  # the session's task is there, and has not run
            assert shares.held("guard") == 1
            for task in asyncio.all_tasks():
                if task.get_name().startswith("webrtc session"):
                    task.cancel()
            await asyncio.wait([asking])
            raise asking.exception() or AssertionError("answered")

    service = WhepService(finder({"lobby": Stream("lobby", clock=clock)}), WebRtc(), clock=clock, shares=shares)
    with pytest.raises(BaseExceptionGroup) as caught:
        await fail()
    assert caught.group_contains(OfferError, match="stopping")
    assert shares.held("guard") == 0
