"""What an offer can make us send to somebody who knows of nothing: counted at that somebody's own sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import pytest
from aioice import stun
from structlog.testing import capture_logs

from faceanond.clock import SystemClock
from faceanond.config.model import WebRtc
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.lines import MOST_PER_ADDRESS, Candidates
from faceanond.publish.webrtc.sdp import MOST_CANDIDATES
from faceanond.publish.webrtc.service import WhepService
from tests.publish.webrtc.feed import finder, live
from tests.publish.webrtc.offers import VIDEO, offer
from tests.waiting import until

HOSTILE = 500
SENDS = 1 + stun.RETRY_MAX
"""Datagrams of one check that nobody answers."""


class Bystander:
    """Somebody on 127.0.0.1 who listens on many ports and has asked for nothing."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self.received: list[tuple[int, bytes]] = []
        """Port and datagram."""

    @property
    def ports(self) -> list[int]:
        return [int(one.getsockname()[1]) for one in self._sockets]

    def look(self) -> int:
        """How many datagrams have come."""
        for one, port in zip(self._sockets, self.ports, strict=True):
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.received.append((port, one.recv(2048)))
        return len(self.received)


@pytest.fixture
def bystander() -> Iterator[Bystander]:
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(100):
            one = stack.enter_context(contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
            one.bind(("127.0.0.1", 0))
            one.setblocking(False)
            sockets.append(one)
        yield Bystander(sockets)


@pytest.fixture
def anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is taken as any other address would be, so that the test needs no other machine; checks that nobody
    answers are sent again sooner."""
    for module in ("sdp", "trickle"):
        monkeypatch.setattr(f"faceanond.publish.webrtc.{module}.Candidates", partial(Candidates, loopback=True))
    monkeypatch.setattr(stun, "RETRY_RTO", 0.01)


def naming(ports: list[int]) -> list[str]:
    """As many candidates as a hostile viewer likes: those ports first, then others of the same address."""
    others = [port for port in range(1024, 65536) if port not in ports]
    named = (ports + others)[:HOSTILE]
    return [f"a=candidate:{port} 1 udp 2113937151 127.0.0.1 {port} typ host" for port in named]


def hostile(ports: list[int]) -> str:
    lines = [line for line in VIDEO.splitlines() if "candidate" not in line]
    return offer("\n".join([*lines, *naming(ports)]) + "\n")


def service() -> WhepService:
    clock = SystemClock()
    return WhepService(finder({"lobby": Stream("lobby", clock=clock)}), WebRtc(interfaces=("lo",)), clock=clock)


@pytest.mark.usefixtures("anybody")
async def test_five_hundred_candidates_of_one_address_cost_it_the_checks_of_four(bystander: Bystander) -> None:
    async with service() as whep:
        answer = await whep.offer("lobby", hostile(bystander.ports), local="127.0.0.1")
        await until(lambda: bystander.look() >= MOST_PER_ADDRESS * SENDS)
        later = "\r\n".join(naming(bystander.ports[50:])[:200]) + "\r\n"
        assert await whep.add_candidates(answer.session_id, later, camera="lobby")
        await asyncio.sleep(0.3)
    assert bystander.look() == MOST_PER_ADDRESS * SENDS
    assert {port for port, _ in bystander.received} == set(bystander.ports[:MOST_PER_ADDRESS])
    assert sum(len(data) for _, data in bystander.received) < 4096


@pytest.mark.usefixtures("anybody")
async def test_candidates_that_are_trickled_count_with_those_of_the_offer(bystander: Bystander) -> None:
    ports = bystander.ports
    async with service() as whep:
        answer = await whep.offer("lobby", offer(), local="127.0.0.1")
        for at in range(0, 40, 10):
            fragment = "\r\n".join(naming(ports[at : at + 10])[:10]) + "\r\n"
            assert await whep.add_candidates(answer.session_id, fragment, camera="lobby")
        await until(lambda: bystander.look() >= MOST_PER_ADDRESS * SENDS)
        await asyncio.sleep(0.3)
    assert bystander.look() == MOST_PER_ADDRESS * SENDS


async def test_our_own_loopback_gets_nothing_at_all(bystander: Bystander, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stun, "RETRY_RTO", 0.01)
    async with service() as whep:
        answer = await whep.offer("lobby", hostile(bystander.ports), local="127.0.0.1")
        fragment = "\r\n".join(naming(bystander.ports)[:200]) + "\r\n"
        assert await whep.add_candidates(answer.session_id, fragment, camera="lobby")
        await asyncio.sleep(0.3)
    assert bystander.look() == 0


async def test_what_was_too_much_is_told_once_at_debug() -> None:
    def many(first: int) -> str:
        return "".join(f"a=candidate:1 1 udp 5 203.0.113.{host} 9000 typ host\r\n" for host in range(first, first + 20))

    async with live("lobby") as (whep, _):
        with capture_logs() as told:
            answer = await whep.offer("lobby", offer(VIDEO + many(1).replace("\r", "")), local="127.0.0.1")
            for first in (101, 121):
                assert await whep.add_candidates(answer.session_id, many(first), camera="lobby")
            await whep.end(answer.session_id)
            await until(lambda: not whep.sessions)
    (line,) = [line for line in told if line["event"] == "too many candidates"]
    assert line == {
        "event": "too many candidates",
        "log_level": "debug",
        "camera": "lobby",
        "ignored": 2 + 60 - MOST_CANDIDATES,
    }


async def test_a_viewer_within_the_limits_is_not_told_of() -> None:
    async with live("lobby") as (whep, _):
        with capture_logs() as told:
            answer = await whep.offer("lobby", offer(), local="127.0.0.1")
            await whep.end(answer.session_id)
            await until(lambda: not whep.sessions)
    assert "too many candidates" not in [line["event"] for line in told]
