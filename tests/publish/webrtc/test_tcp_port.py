from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import aioice
import pytest
from aioice import stun

from faceanond.errors import UnavailableError
from faceanond.publish.webrtc import ice
from faceanond.publish.webrtc import tcp_port as module
from faceanond.publish.webrtc.ice import EdgeConnection, Network
from faceanond.publish.webrtc.protocol import Drop
from faceanond.publish.webrtc.tcp_port import TcpPort, passive_candidate
from tests.conftest import FakeClock, settle
from tests.e2e.daemon import free_port
from tests.publish.webrtc.agents import agent, check
from tests.waiting import until


@pytest.fixture
async def port(clock: FakeClock) -> AsyncIterator[TcpPort]:
    tcp = TcpPort(free_port(), most=40, clock=clock)
    await tcp.open(["127.0.0.1"])
    yield tcp
    tcp.close()
    await until(lambda: not tcp.connections)
    await settle()


class Viewer:
    """The other end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(struct.pack("!H", len(data)) + data)

    async def receive(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2), "big"))

    async def cut(self) -> None:
        """Waits until the other end has closed the connection."""
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass


@contextlib.asynccontextmanager
async def viewer(port: TcpPort, buffer: int = 0, *, at: tuple[str, int] | None = None) -> AsyncIterator[Viewer]:
    raw = socket.socket()
    raw.setblocking(False)
    if at is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        raw.bind(at)
    if buffer:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port.port))
    reader, writer = await asyncio.open_connection(sock=raw)
    try:
        yield Viewer(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_signed_check_makes_a_connection_the_agents(port: TcpPort) -> None:
    async with agent(Network(tcp=port)) as one, viewer(port) as other:
        request = check(one)
        # However the bytes are cut into packets.
        framed = struct.pack("!H", len(request)) + request
        for byte in framed:
            other.writer.write(bytes([byte]))
            await other.writer.drain()
        answer = stun.parse_message(await other.receive())
        assert answer.message_class == stun.Class.RESPONSE
        other.send(b"\x80one")
        other.send(b"\x80two")
        await until(lambda: one._queue.qsize() == 2)
        assert one._queue.get_nowait() == (b"\x80one", 1)
        place = one._protocols[-1]
        await place.send_data(b"\x80back", ("198.51.100.1", 1))
        assert await other.receive() == b"\x80back"


@pytest.mark.parametrize("case", ["junk", "long", "response", "nobody", "wrong password"])
async def test_a_connection_that_begins_with_anything_else_is_cut(port: TcpPort, case: str) -> None:
    async with agent(Network(tcp=port)) as one, viewer(port) as other:
        response = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.RESPONSE)
        data, why = {
            "junk": (b"GET / HTTP/1.1\r\n\r\n", Drop.MALFORMED),
            "long": (struct.pack("!H", module.LARGEST + 1), Drop.MALFORMED),
            "response": (struct.pack("!H", 20) + bytes(response), Drop.MALFORMED),
            "nobody": (_framed(check(one, name="nobody")), Drop.UNKNOWN),
            "wrong password": (_framed(check(one, password="wrong" * 5)), Drop.UNSIGNED),
        }[case]
        other.writer.write(data)
        await other.cut()
        assert port.dropped == {why: 1}
        assert port.connections == 0


def _framed(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


async def test_a_connection_that_says_nothing_is_cut_within_ten_seconds(port: TcpPort, clock: FakeClock) -> None:
    async with asyncio.TaskGroup() as group, agent(Network(tcp=port)) as one:
        watching = group.create_task(port.watch())
        async with viewer(port) as silent, viewer(port) as known:
            known.send(check(one))
            await known.receive()
            silent.writer.write(b"\x00")
            await until(lambda: port.connections == 2)
            await clock.advance(module.UNKNOWN_FOR - 1)
            assert port.connections == 2
            await clock.advance(1.1)
            await silent.cut()
            await until(lambda: port.connections == 1)
            assert port.dropped == {Drop.SILENT: 1}
            await clock.advance(60)
            assert port.connections == 1
        watching.cancel()


async def test_a_viewer_that_does_not_read_loses_packets_and_then_the_connection(
    port: TcpPort, clock: FakeClock
) -> None:
    async with asyncio.TaskGroup() as group, agent(Network(tcp=port)) as one, viewer(port, 4096) as slow:
        watching = group.create_task(port.watch())
        slow.send(check(one))
        await until(
            lambda: any(hasattr(place, "local_candidate") and place.local_candidate.tcptype for place in one._protocols)
        )
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        place = one._protocols[-1]
        for _ in range(1000):
            await place.send_data(bytes(1200), ("198.51.100.1", 1))
        assert port.dropped[Drop.UNSENT] > 300
        (line,) = port._lines
        assert line._transport is not None
        assert line._transport.get_write_buffer_size() <= module.MOST_UNSENT + 1202
        await clock.advance(module.SLOW - 1.1)
        assert port.connections == 1
        await clock.advance(2)
        await until(lambda: port.connections == 0)
        assert port.dropped[Drop.SLOW] == 1
        assert place.transport.is_closing()
        assert place not in one._protocols
        watching.cancel()


async def test_a_viewer_that_catches_up_stays(port: TcpPort, clock: FakeClock) -> None:
    async with asyncio.TaskGroup() as group, agent(Network(tcp=port)) as one, viewer(port, 4096) as slow:
        watching = group.create_task(port.watch())
        slow.send(check(one))
        await slow.receive()
        place = one._protocols[-1]
        for _ in range(1000):
            await place.send_data(bytes(1200), ("198.51.100.1", 1))
        (line,) = port._lines
        assert line.slow_since is not None
        while line.slow_since is not None:
            assert await slow.receive()
        await clock.advance(60)
        assert port.connections == 1
        watching.cancel()


async def test_connections_that_are_nobodys_are_few(port: TcpPort) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(module.MOST_UNKNOWN_EACH):
            await stack.enter_async_context(viewer(port))
        await until(lambda: port.connections == module.MOST_UNKNOWN_EACH)
        one_more = await stack.enter_async_context(viewer(port))
        await one_more.cut()
        assert port.connections == module.MOST_UNKNOWN_EACH
        assert port.dropped == {Drop.CROWDED: 1}


async def test_connections_that_are_nobodys_lock_no_viewer_out(
    port: TcpPort, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    monkeypatch.setattr(module, "MOST_UNKNOWN", 3)
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(agent(Network(tcp=port)))
        flood = []
        for number in range(3):
            flood.append(await stack.enter_async_context(viewer(port, at=(f"127.0.0.{2 + number}", 0))))
            await until(lambda: port.connections == len(flood))
            await clock.advance(0.1)
        genuine = await stack.enter_async_context(viewer(port))
        await flood[0].cut()
        genuine.send(check(one))
        assert stun.parse_message(await genuine.receive()).message_class == stun.Class.RESPONSE
        assert port.connections == 3
        assert port.dropped == {Drop.CROWDED: 1}


async def test_a_viewer_that_comes_again_from_one_port_piles_nothing_up(
    port: TcpPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice, "MOST_PAIRS", 4)
    async with agent(Network(tcp=port)) as one:
        one._early_checks_done = True  # as if it had its viewer's answer
        place = ("127.0.0.5", free_port())
        for _ in range(8):
            async with viewer(port, at=place) as other:
                other.send(check(one))
                await until(lambda: port.connections == 1 and next(iter(port._lines)).agent is one)
                # Cut rather than closed, so that the port is free again at once.
                linger = struct.pack("ii", 1, 0)
                other.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                other.writer.transport.abort()
            await until(lambda: port.connections == 0)
        assert len(one._check_list) == 4


async def test_one_session_holds_a_few_connections(port: TcpPort) -> None:
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(agent(Network(tcp=port)))
        for _ in range(module.MOST_EACH):
            another = await stack.enter_async_context(viewer(port))
            another.send(check(one))
            await another.receive()
        too_many = await stack.enter_async_context(viewer(port))
        too_many.send(check(one))
        await too_many.cut()
        assert port.dropped == {Drop.CROWDED: 1}


async def test_a_viewer_that_comes_again_and_again_leaves_nothing(port: TcpPort) -> None:
    async with agent(Network(tcp=port)) as one:
        before = len(one._protocols)
        for _ in range(30):
            async with viewer(port) as other:
                other.send(check(one))
                await until(lambda: port.connections == 1)
            await until(lambda: port.connections == 0)
        assert len(one._protocols) == before
        assert len(one._early_checks) + len(one._check_list) <= 100


async def test_a_session_that_ends_closes_its_connections(port: TcpPort) -> None:
    network = Network(tcp=port)
    async with agent(network):
        async with agent(network) as one:
            other = await _joined(port, one)
        await other.cut()
        await until(lambda: port.connections == 0)
        other.writer.close()


async def _joined(port: TcpPort, one: EdgeConnection) -> Viewer:
    other = Viewer(*await asyncio.open_connection("127.0.0.1", port.port))
    other.send(check(one))
    await other.receive()
    return other


async def test_the_port_is_offered_after_every_udp_address(port: TcpPort) -> None:
    async with agent(Network(tcp=port)) as one:
        offered = one.local_candidates
        passive = [candidate for candidate in offered if candidate.transport == "tcp"]
        assert passive[0].host == "127.0.0.1"
        assert {(candidate.tcptype, candidate.port) for candidate in passive} == {("passive", port.port)}
        datagrams = [candidate.priority for candidate in offered if candidate.transport == "udp"]
        assert max(candidate.priority for candidate in passive) < min(datagrams)
        assert passive_candidate("192.0.2.1", 1, rank=0).priority > passive_candidate("192.0.2.1", 1, rank=1).priority


async def test_a_port_that_is_taken_is_told_with_what_to_do(clock: FakeClock) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = other.getsockname()[1]
        port = TcpPort(taken, most=10, clock=clock)
        with pytest.raises(UnavailableError, match=rf"webrtc.tcp_port: cannot listen on TCP 127.0.0.1:{taken}: .*use"):
            await port.open(["127.0.0.1"])
        async with agent(Network(tcp=port, interfaces=("lo",)), "127.0.0.1") as one:
            assert ("tcp", "127.0.0.1") not in [(found.transport, found.host) for found in one.local_candidates]
        port.close()
        await settle()


async def reachable(port: TcpPort, host: str) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port.port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    await until(lambda: not port.connections)
    return True


async def test_an_address_that_has_gone_is_listened_on_for_as_long_as_somebody_was_told_of_it(port: TcpPort) -> None:
    told, later, last = (aioice.Connection(ice_controlling=False) for _ in range(3))
    await port.join(told, ["127.0.0.1", "127.0.0.2"])
    assert await port.join(later, ["127.0.0.1"]) == [("127.0.0.1", port.port)]
    assert await reachable(port, "127.0.0.2")
    for one in (told, later):
        port.leave(one)
    await port.join(last, ["127.0.0.1"])
    assert not await reachable(port, "127.0.0.2")
    assert await reachable(port, "127.0.0.1")


async def test_a_listener_that_breaks_is_opened_anew_for_the_next(port: TcpPort) -> None:
    broken = port._ends["127.0.0.1"].server
    assert broken is not None
    broken.close()
    assert not await reachable(port, "127.0.0.1")
    await port.join(aioice.Connection(ice_controlling=False), ["127.0.0.1"])
    assert await reachable(port, "127.0.0.1")
