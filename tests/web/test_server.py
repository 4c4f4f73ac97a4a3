from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from faceanond.config.model import Http
from faceanond.errors import UnavailableError
from faceanond.tls import RENEWAL_INTERVAL
from faceanond.web import server
from faceanond.web.server import serving
from tests import certificates
from tests.conftest import FakeClock

ANY = Http(listen=("127.0.0.1", 0))


def application() -> web.Application:
    app = web.Application()

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app.router.add_get("/", hello)
    return app


async def test_it_serves_and_tells_the_real_port() -> None:
    async with serving(application(), ANY) as (host, port), aiohttp.ClientSession() as session:
        assert (host, port) != ("127.0.0.1", 0)
        async with session.get(f"http://{host}:{port}/") as response:
            assert await response.text() == "hello"


async def test_after_leaving_nobody_listens() -> None:
    async with serving(application(), ANY) as (host, port):
        pass
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(host, port)


@pytest.fixture
def secured(tmp_path: Path) -> Http:
    certificate, key = certificates.make(tmp_path)
    return Http(listen=("127.0.0.1", 0), certificate=str(certificate), key=str(key))


def trusting(settings: Http) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.certificate)


@pytest.mark.may_block  # the certificates are made and trusted here
async def test_with_a_certificate_it_speaks_https_and_nothing_else(secured: Http) -> None:
    async with serving(application(), secured) as (host, port), aiohttp.ClientSession() as session:
        async with session.get(f"https://{host}:{port}/", ssl=trusting(secured)) as response:
            assert await response.text() == "hello"
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://{host}:{port}/")
        async with session.get(f"https://{host}:{port}/", ssl=trusting(secured)) as response:
            assert response.status == 200


@pytest.mark.may_block
async def test_a_request_in_one_segment_with_the_end_of_the_handshake_is_answered(secured: Http) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting(secured).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    async with serving(application(), secured) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
        tls.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        writer.write(outgoing.read())
        incoming.write(await reader.read())
        assert tls.read(12) == b"HTTP/1.1 200"
        writer.close()
        await writer.wait_closed()


@pytest.mark.may_block
async def test_a_renewed_certificate_is_taken_over(secured: Http, tmp_path: Path, clock: FakeClock) -> None:
    async with serving(application(), secured, clock=clock) as (host, port):
        before = trusting(secured)
        async with aiohttp.ClientSession() as session, session.get(f"https://{host}:{port}/", ssl=before) as response:
            assert response.status == 200
        certificates.make(tmp_path)
        await clock.advance(RENEWAL_INTERVAL)
        for _ in range(200):
            await asyncio.sleep(0.005)  # a thread reads it
            with contextlib.suppress(ssl.SSLError):
                _, writer = await asyncio.open_connection(host, port, ssl=trusting(secured))
                writer.transport.abort()
                return
        pytest.fail("the old certificate is still there")


@pytest.mark.may_block
async def test_a_certificate_that_cannot_be_used_is_told_with_its_key(secured: Http, tmp_path: Path) -> None:
    (tmp_path / "server.key").unlink()
    with pytest.raises(UnavailableError, match=r"http\.key: the private key .* does not exist"):
        async with serving(application(), secured):
            pytest.fail("listening without a key")


async def test_a_port_in_use_is_told_with_its_key() -> None:
    async with serving(application(), ANY) as (host, port):
        with pytest.raises(
            UnavailableError, match=rf"http\.listen: cannot listen on TCP {host}:{port}: another program uses"
        ):
            async with serving(application(), Http(listen=(host, port))):
                pytest.fail("two listeners on one port")


async def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(UnavailableError, match=r"http\.listen: .*: this is no address of this machine"):
        async with serving(application(), Http(listen=("198.51.100.77", 0))):
            pytest.fail("listening on an address that is not ours")


async def test_a_request_that_never_ends_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE", 0.05)
    entered = asyncio.Event()
    app = application()

    async def hang(_: web.Request) -> web.Response:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    app.router.add_get("/hang", hang)
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:

        async def ask(url: str) -> None:
            with pytest.raises(aiohttp.ClientError):
                await session.get(url)

        async with asyncio.timeout(5), serving(app, ANY) as (host, port):
            group.create_task(ask(f"http://{host}:{port}/hang"))
            await entered.wait()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: \xff\xfe\r\n\r\n",
    ],
)
async def test_what_is_no_http_gets_a_bare_400_and_no_traceback(
    request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(application(), ANY) as (host, port), asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request_bytes)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    assert b" 400 Bad Request" in head.splitlines()[0]
    assert b"aiohttp" not in head
    assert json.loads(body)["error"] == "bad request"
    assert caplog.records == []


async def test_a_body_that_only_claims_to_be_compressed_is_taken_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    app = application()

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app.router.add_post("/", echo)
    async with serving(app, ANY) as (host, port), aiohttp.ClientSession() as session:
        headers = {"Content-Encoding": "gzip"}
        async with session.post(f"http://{host}:{port}/", data=b"no gzip", headers=headers) as response:
            assert await response.read() == b"no gzip"
        # Nobody reads this one, so that aiohttp itself throws it away.
        async with session.post(f"http://{host}:{port}/nothing", data=b"no gzip", headers=headers) as response:
            assert response.status == 404
    assert caplog.records == []


async def test_idle_connections_without_end_lock_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SPARE_CONNECTIONS", 3)
    async with serving(application(), Http(listen=("127.0.0.1", 0), max_streams=1)) as (host, port):
        flood = [await asyncio.open_connection(host, port) for _ in range(6)]
        _, quiet = await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0))
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/") as response:
            assert response.status == 200
        async with asyncio.timeout(5):
            for reader, _ in flood[:3]:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        reader, _ = flood[-1]
        assert not reader.at_eof()
        quiet.close()
        for _, writer in flood:
            writer.close()


@pytest.mark.may_block
async def test_handshakes_that_are_never_finished_lock_nobody_out(
    secured: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SPARE_CONNECTIONS", 2)
    async with serving(application(), secured.model_copy(update={"max_streams": 1})) as (host, port):
        flood = [await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0)) for _ in range(3)]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"https://{host}:{port}/", ssl=trusting(secured)) as response:
                assert await response.text() == "hello"
            async with asyncio.timeout(5):
                with contextlib.suppress(ConnectionError):
                    assert await flood[0][0].read() == b""
            assert not flood[-1][0].at_eof()
        for _, writer in flood:
            writer.close()


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STALLED", 0.2)
    app, cut = web.Application(), asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(100_000))
        finally:
            cut.set()

    app.router.add_get("/", endless)
    async with serving(app, ANY) as (host, port):
        _, writer = await asyncio.open_connection(host, port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(5):
            await cut.wait()
        writer.close()
