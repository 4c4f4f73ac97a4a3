from __future__ import annotations

import asyncio
import email.utils
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from faceanond.config.model import Push
from faceanond.errors import PushError, PushFault
from faceanond.publish.push.network import Network
from faceanond.publish.push.target import target
from faceanond.publish.webrtc.whip_http import ANSWER, FAREWELL, LARGEST, MOST_REDIRECTS, Endpoint, Session
from tests.conftest import FakeClock
from tests.daemon.file_server import certified
from tests.publish.webrtc.whip_server import WhipServer, whip
from tests.waiting import until


@asynccontextmanager
async def endpoint(
    url: str, clock: FakeClock, *, verify: bool = True, known: str = "127.0.0.1"
) -> AsyncIterator[Endpoint]:
    place = target("yard", Push(url=url, token=SecretStr("geheim")))
    assert place is not None
    async with Network(clock=clock) as network:
        tls = await network.tls(verify=verify) if url.lower().startswith("https") else None
        async with network.http(tls, known=[known]) as client:
            yield Endpoint(place, client, clock=clock)


async def refused(server: WhipServer, clock: FakeClock) -> PushError:
    async with whip(server) as url, endpoint(url, clock) as one:
        with pytest.raises(PushError) as caught:
            await one.offer("v=0 offer")
    assert "geheim" not in str(caught.value)
    return caught.value


async def test_an_offer_becomes_a_session_that_is_deleted_at_the_end(clock: FakeClock) -> None:
    server = WhipServer()
    server.script = [server.created("v=0 answer")]
    async with whip(server) as url, endpoint(url, clock) as one:
        session = await one.offer("v=0 offer")
        assert session == Session("v=0 answer", f"http://127.0.0.1:{server.port}/session/1", '"1"')
        await one.end(session)
    assert server.offers == ["v=0 offer"]
    assert server.deleted == ["/session/1"]
    assert server.tokens == ["Bearer geheim"] * 2


async def test_a_redirect_is_followed_with_the_offer_and_without_the_token_to_another_server(clock: FakeClock) -> None:
    first, second = WhipServer(), WhipServer()
    second.script = [second.created("v=0 answer")]
    async with whip(second) as there, whip(first) as url, endpoint(url, clock) as one:
        first.script = [
            web.Response(status=307, headers={"Location": "/whip/other"}),
            web.Response(status=308, headers={"Location": there}),
        ]
        session = await one.offer("v=0 offer")
        await one.end(session)
    assert session.url == f"http://127.0.0.1:{second.port}/session/1"
    assert first.tokens == ["Bearer geheim"] * 2
    assert second.tokens == ["", ""]
    assert second.offers == ["v=0 offer"]
    assert second.deleted == ["/session/1"]


@pytest.mark.parametrize("known", ["8.8.8.8", "192.168.1.2", "169.254.1.2"])
async def test_no_server_elsewhere_makes_us_ask_something_of_this_machine(clock: FakeClock, known: str) -> None:
    inside = WhipServer()
    async with whip(inside) as url, endpoint(url, clock, known=known) as one:
        with pytest.raises(PushError, match=r"sends us to 127\.0\.0\.1") as caught:
            await one.offer("v=0 offer")
        assert caught.value.fault is PushFault.REFUSED
        await one.end(Session("v=0 answer", f"{url}/_all", ""))
    assert inside.offers == []
    assert inside.deleted == []


@pytest.mark.parametrize(
    "place", ["", "ftp://127.0.0.1/x", "http://user:password@127.0.0.1/x", "http://[/", "x" * 3000]
)
async def test_a_redirect_to_no_place_is_refused(clock: FakeClock, place: str) -> None:
    error = await refused(WhipServer([web.Response(status=307, headers={"Location": place})]), clock)
    assert error.fault is PushFault.REFUSED


async def test_redirects_in_a_circle_end(clock: FakeClock) -> None:
    server = WhipServer([web.Response(status=307, headers={"Location": "/whip/yard"}) for _ in range(10)])
    error = await refused(server, clock)
    assert error.fault is PushFault.REFUSED
    assert len(server.offers) == 1 + MOST_REDIRECTS


@pytest.mark.parametrize(
    ("status", "fault", "words"),
    [
        (401, PushFault.UNAUTHORISED, "check token"),
        (403, PushFault.UNAUTHORISED, "check token"),
        (404, PushFault.NOT_FOUND, "no such path"),
        (405, PushFault.REFUSED, "405 Method Not Allowed"),
        (406, PushFault.REFUSED, "H.264"),
        (301, PushFault.REFUSED, "set url"),
        (302, PushFault.REFUSED, "set url"),
        (200, PushFault.MALFORMED, "not with 201"),
        (500, PushFault.REFUSED, "500"),
    ],
)
async def test_a_refusal_is_told_with_what_it_means(
    clock: FakeClock, status: int, fault: PushFault, words: str
) -> None:
    error = await refused(WhipServer([web.Response(status=status, headers={"Location": "/whip/x"})]), clock)
    assert error.fault is fault
    assert words in str(error)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_is_busy_says_when_to_come_again(clock: FakeClock, status: int) -> None:
    date = email.utils.formatdate(clock.wall() + 90, usegmt=True)
    for given, seconds in (("30", 30), (date, 90), ("soon", 0), ("-1", 0), ("1" * 30, 0)):
        error = await refused(WhipServer([web.Response(status=status, headers={"Retry-After": given})]), clock)
        assert error.fault is PushFault.REFUSED
        assert error.retry_after == seconds


async def test_an_answer_without_a_session_or_of_another_kind_is_refused(clock: FakeClock) -> None:
    for headers, kind, body in (
        ({}, "application/sdp", b"v=0"),
        ({"Location": "mailto:x"}, "application/sdp", b"v=0"),
        ({"Location": "/s/1"}, "text/html", b"v=0"),
        ({"Location": "/s/1"}, "application/sdp", b"\xff\xfe"),
        ({"Location": "/s/1"}, "application/sdp", b"x" * (LARGEST + 1)),
    ):
        answer = web.Response(status=201, headers=headers, content_type=kind, body=body)
        assert (await refused(WhipServer([answer]), clock)).fault is PushFault.MALFORMED


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"", PushFault.CLOSED),
        (b"RTSP/1.0 200 OK\r\n\r\n", PushFault.MALFORMED),
        (b"HTTP/1.1 201 Created\r\n" + b"A: " + b"x" * 100_000, PushFault.MALFORMED),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\nx", PushFault.CLOSED),
    ],
)
async def test_a_server_that_speaks_no_http_is_told(clock: FakeClock, sent: bytes, fault: PushFault) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/whip"
    async with server, endpoint(url, clock) as one:
        with pytest.raises(PushError) as caught:
            await one.offer("v=0")
    assert caught.value.fault is fault


async def test_a_server_that_does_not_answer_is_given_up(clock: FakeClock) -> None:
    server = WhipServer([None])
    async with whip(server) as url, endpoint(url, clock) as one, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_fault(one), name="test")
        await until(lambda: server.offers)
        await clock.advance(ANSWER + 0.1)
        assert await task is PushFault.TIMEOUT


async def _fault(one: Endpoint) -> PushFault:
    with pytest.raises(PushError) as caught:
        await one.offer("v=0")
    return caught.value.fault


async def test_nobody_listens(clock: FakeClock) -> None:
    async with endpoint("http://127.0.0.1:1/whip", clock) as one:
        assert await _fault(one) is PushFault.UNREACHABLE


async def test_a_server_that_holds_up_the_end_is_left_after_a_second(clock: FakeClock) -> None:
    server = WhipServer(hold_delete=True)
    async with whip(server) as url, endpoint(url, clock) as one, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(one.end(Session("", url.replace("/whip/", "/session/"), "")), name="test")
        await until(lambda: server.deleted)
        await clock.advance(FAREWELL + 0.1)
        await task


async def test_over_tls_the_certificate_counts(clock: FakeClock, tmp_path: Path) -> None:
    context, _ = certified(tmp_path)
    server = WhipServer()
    async with whip(server, tls=context) as url:
        async with endpoint(url, clock) as one:
            assert await _fault(one) is PushFault.TLS
        assert server.tokens == []
        server.script = [server.created("v=0 answer")]
        async with endpoint(url, clock, verify=False) as one:
            session = await one.offer("v=0 offer")
            assert session.url.startswith("https://")
            await one.end(session)
    assert server.tokens == ["Bearer geheim"] * 2


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
async def test_a_redirect_out_of_tls_is_not_followed(clock: FakeClock, tmp_path: Path, scheme: str) -> None:
    context, _ = certified(tmp_path)
    secure, plain = WhipServer(), WhipServer()
    async with (
        whip(plain) as there,
        whip(secure, tls=context) as url,
        endpoint(url.replace("https", scheme), clock, verify=False) as one,
    ):
        secure.script = [web.Response(status=307, headers={"Location": there})]
        assert await _fault(one) is PushFault.REFUSED
    assert plain.offers == []
