from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from faceanond.errors import PushError, PushFault
from faceanond.publish.push import network as module
from faceanond.publish.push.network import CONNECT, LOOK_UP, MOST_ADDRESSES, Network, within_machine
from tests.conftest import FakeClock
from tests.daemon.file_server import certified
from tests.waiting import until


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None, *, silent: bool = False) -> AsyncIterator[int]:
    """A server that says hello and hangs up, or one that says nothing at all."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if silent:
            await asyncio.Event().wait()
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the name server knows."""
    known: dict[str, list[str]] = {}

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(module.socket, "getaddrinfo", look_up)
    return known


async def hello(network: Network, host: str, port: int, tls: ssl.SSLContext | None = None) -> bytes:
    reader, writer = await network.connect(host, port, tls)
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_an_address_needs_no_name_server(clock: FakeClock, names: dict[str, list[str]]) -> None:
    async with Network(clock=clock) as network, listening() as port:
        for host in ("127.0.0.1", "127.1"):
            assert await hello(network, host, port) == b"hello"


async def test_each_address_of_a_name_is_tried(clock: FakeClock, names: dict[str, list[str]]) -> None:
    names["media"] = ["127.0.0.2", "127.0.0.1"]
    async with Network(clock=clock) as network, listening() as port:
        assert await hello(network, "media", port) == b"hello"


async def test_a_name_with_many_addresses_is_not_tried_for_ever(clock: FakeClock, names: dict[str, list[str]]) -> None:
    names["media"] = [f"127.0.0.{number}" for number in range(2, 100)]
    async with Network(clock=clock) as network:
        assert len(await network.addresses("media", 1)) == MOST_ADDRESSES


@pytest.mark.parametrize("host", ["nowhere", "x" * 70, "a..b"])
async def test_a_name_that_does_not_exist_is_told(clock: FakeClock, host: str) -> None:
    async with Network(clock=clock) as network:
        with pytest.raises(PushError, match=f"the name {host} cannot be looked up") as caught:
            await network.addresses(host, 1)
    assert caught.value.fault is PushFault.UNREACHABLE


async def test_a_silent_name_server_holds_up_nobody_and_stopping_does_not_wait_for_it(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        asked.set()
        answer.wait(20)
        return []

    monkeypatch.setattr(module.socket, "getaddrinfo", look_up)
    try:
        async with Network(clock=clock) as network, asyncio.TaskGroup() as tasks:
            task = tasks.create_task(_refused(network), name="test")
            await until(asked.is_set)
            await clock.advance(LOOK_UP + 0.1)
            assert (await task).fault is PushFault.UNREACHABLE
        assert not answer.is_set()
    finally:
        answer.set()


async def _refused(
    network: Network, tls: ssl.SSLContext | None = None, host: str = "media", port: int = 1
) -> PushError:
    with pytest.raises(PushError) as caught:
        await network.connect(host, port, tls)
    return caught.value


async def test_a_certificate_of_an_authority_that_is_known_is_accepted(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, authority = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    module._verifying.cache_clear()
    try:
        async with Network(clock=clock) as network, listening(server) as port:
            tls = await network.tls(verify=True)
            assert await hello(network, "127.0.0.1", port, tls) == b"hello"
            assert (await _refused(network, tls, "127.0.0.2", port)).fault is PushFault.UNREACHABLE
    finally:
        module._verifying.cache_clear()


async def test_any_other_certificate_is_refused_unless_it_is_not_to_be_checked(
    clock: FakeClock, tmp_path: Path
) -> None:
    server, _ = certified(tmp_path)
    async with Network(clock=clock) as network, listening(server) as port:
        error = await _refused(network, await network.tls(verify=True), "127.0.0.1", port)
        assert error.fault is PushFault.TLS
        assert "the certificate of 127.0.0.1 is not accepted" in str(error)
        assert await hello(network, "127.0.0.1", port, await network.tls(verify=False)) == b"hello"


async def test_a_server_without_tls_is_told(clock: FakeClock) -> None:
    async with Network(clock=clock) as network, listening() as port:
        error = await _refused(network, await network.tls(verify=False), "127.0.0.1", port)
    assert error.fault is PushFault.TLS


async def test_a_handshake_that_hangs_is_given_up_and_leaves_nothing_open(clock: FakeClock) -> None:
    gone = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Network(clock=clock) as network, asyncio.TaskGroup() as tasks:
        tls = await network.tls(verify=False)
        task = tasks.create_task(_refused(network, tls, "127.0.0.1", port), name="test")
        for _ in range(50):
            await asyncio.sleep(0.001)
        await clock.advance(CONNECT + 0.1)
        assert (await task).fault is PushFault.TIMEOUT
        # The server sees the end: nothing of ours keeps the connection.
        async with asyncio.timeout(5):
            await gone.wait()
    server.close()


async def test_our_own_address_towards_a_server_is_known_beforehand(clock: FakeClock) -> None:
    async with Network(clock=clock) as network:
        assert await network.local_address("127.0.0.1", 80) == "127.0.0.1"


@pytest.mark.parametrize(
    ("own", "peer", "within"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("192.168.1.5", "192.168.1.5", True),
        ("192.168.1.5", "192.168.1.6", False),
        ("fe80::1%eth0", "fe80::2%eth0", False),
        ("::ffff:10.0.0.1", "::ffff:127.0.0.1", True),
        ("10.0.0.1", "203.0.113.9", False),
    ],
)
def test_a_connection_within_this_machine_is_told_from_one_that_leaves_it(own: str, peer: str, within: bool) -> None:
    assert within_machine(own, peer) is within
