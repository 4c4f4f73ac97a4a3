from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from faceanond.access import OPEN
from faceanond.config.model import Rtsp
from faceanond.publish import rtp
from faceanond.publish.rtsp.delivery import Output, UdpDelivery
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.rtsp.session import Session
from faceanond.publish.rtsp.transport import OverUdp
from faceanond.publish.stream import Stream
from tests.conftest import FakeClock, settle
from tests.publish.rtsp.player import Player, connected
from tests.publish.sealed import packet
from tests.waiting import until

RECEIVER_REPORT = struct.pack("!BBHI", 0x80, 201, 1, 7)


class Ear(asyncio.DatagramProtocol):
    """A UDP port of the player."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, tuple[str, int]]] = []

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.heard.append((data, address))


class UdpPlayer:
    """A player with two UDP ports."""

    def __init__(self, player: Player, server: RtspServer) -> None:
        self.player = player
        self.server = server
        self.rtp, self.rtcp = Ear(), Ear()
        self.transports: list[asyncio.DatagramTransport] = []

    async def open(self) -> None:
        for ear in (self.rtp, self.rtcp):
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda ear=ear: ear, local_addr=("127.0.0.1", 0)
            )
            self.transports.append(transport)

    @property
    def ports(self) -> tuple[int, int]:
        first, second = (transport.get_extra_info("sockname")[1] for transport in self.transports)
        return first, second

    async def set_up(self, more: str = "") -> tuple[int, int]:
        """SETUP; returns the server's ports."""
        offer = f"RTP/AVP;unicast;client_port={self.ports[0]}-{self.ports[1]}{more}"
        answer = await self.player.ask("SETUP", "/yard/trackID=0", Transport=offer)
        assert answer.status == 200
        first, second = answer.headers["Transport"].split("server_port=")[1].split(";")[0].split("-")
        return int(first), int(second)

    async def play(self, stream: Stream) -> None:
        """PLAY, with one keyframe (number 1)."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.player.ask("PLAY"), name="play")
            await until(lambda: stream.viewers().get("rtsp"))
            stream.write(packet(1, keyframe=True, encoded=900.0))

    @property
    def session(self) -> Session:
        """The server's side."""
        (connection,) = self.server._connections
        assert connection._session is not None
        return connection._session

    def close(self) -> None:
        for transport in self.transports:
            transport.close()


@pytest.fixture
async def stream(clock: FakeClock) -> Stream:
    return Stream("yard", clock=clock)


@pytest_asyncio.fixture
async def udp(clock: FakeClock, stream: Stream) -> AsyncIterator[UdpPlayer]:
    listening = RtspServer({"yard": stream}.get, Rtsp(listen="127.0.0.1:0"), clock=clock, access=OPEN)
    async with listening as server, connected(server.port) as player:
        one = UdpPlayer(player, server)
        await one.open()
        yield one
        one.close()


async def test_the_servers_ports_are_an_even_and_the_next_odd_one(udp: UdpPlayer) -> None:
    for _ in range(5):
        first, second = await udp.set_up()
        assert (first % 2, second) == (0, first + 1)


async def test_rtp_goes_to_the_first_port_and_rtcp_to_the_second(udp: UdpPlayer, stream: Stream) -> None:
    ports = await udp.set_up()
    await udp.play(stream)
    await until(lambda: len(udp.rtp.heard) == 3 and udp.rtcp.heard)
    assert {address for _, address in udp.rtp.heard} == {("127.0.0.1", ports[0])}
    assert [data[12] & 0x1F for data, _ in udp.rtp.heard] == [7, 8, 5]
    report, address = udp.rtcp.heard[0]
    assert (report[1], address) == (rtp.SENDER_REPORT, ("127.0.0.1", ports[1]))


async def test_packets_never_go_to_a_destination_that_the_request_names(udp: UdpPlayer, stream: Stream) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.setblocking(False)
        victim.bind(("127.0.0.2", udp.ports[0]))
        await udp.set_up(";destination=127.0.0.2")
        await udp.play(stream)
        await until(lambda: len(udp.rtp.heard) == 3)
        with pytest.raises(BlockingIOError):
            victim.recv(2000)


async def test_a_receiver_report_keeps_the_session_and_others_datagrams_do_not(
    udp: UdpPlayer, stream: Stream, clock: FakeClock
) -> None:
    ports = await udp.set_up()
    await udp.play(stream)
    await clock.advance(50.0)
    udp.transports[1].sendto(RECEIVER_REPORT, ("127.0.0.1", ports[1]))
    await until(lambda: udp.session._heard == clock.monotonic())
    await clock.advance(50.0)
    assert udp.server.sessions == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        stranger.sendto(RECEIVER_REPORT, ("127.0.0.1", ports[1]))
        await asyncio.sleep(0.01)
    await clock.advance(11.0)
    assert udp.server.sessions == 0


async def test_a_player_whose_port_is_closed_is_gone_in_ten_seconds(
    udp: UdpPlayer, stream: Stream, clock: FakeClock
) -> None:
    await udp.set_up()
    await udp.play(stream)
    udp.close()
    await asyncio.sleep(0)
    await clock.advance(4.0)
    await until(lambda: stream.write(packet(2)) or udp.session.delivery.refused_at)
    await clock.advance(5.0)
    assert udp.server.sessions == 1
    await clock.advance(2.0)
    assert udp.server.sessions == 0
    assert await udp.player.ended()


async def test_ports_are_freed_with_the_session(udp: UdpPlayer) -> None:
    ports = await udp.set_up()
    assert (await udp.player.ask("TEARDOWN")).status == 200
    await asyncio.sleep(0)
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.setblocking(False)
            again.bind(("127.0.0.1", port))


async def test_no_free_port_is_503_and_no_session(udp: UdpPlayer, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_free(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("faceanond.publish.rtsp.datagrams._bound", none_free)
    offer = f"RTP/AVP;unicast;client_port={udp.ports[0]}-{udp.ports[1]}"
    assert (await udp.player.ask("SETUP", "/yard/trackID=0", Transport=offer)).status == 503
    assert udp.server.sessions == 0


@pytest.mark.parametrize("steps", range(1, 6))
async def test_a_player_who_is_gone_before_the_ports_are_open_leaves_none(steps: int, clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as end:
        before = sockets()
        delivery = UdpDelivery(OverUdp((5000, 5001)), clock=clock, heard=lambda _: None)
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(delivery.open(end), name="opening")
            for _ in range(steps):
                await asyncio.sleep(0)
            opening.cancel()
        if not opening.cancelled():
            delivery.close()
        await settle()
        assert sockets() == before


async def test_a_connection_whose_closing_is_cut_short_is_dropped(clock: FakeClock) -> None:
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: accepted.put_nowait(writer), "127.0.0.1", 0)
    _, silent = await asyncio.open_connection(*server.sockets[0].getsockname())
    silent.transport.pause_reading()  # type: ignore[attr-defined]
    writer = await accepted.get()
    output = Output(writer, clock=clock)
    while not writer.transport.get_write_buffer_size():
        output.write(bytes(1024 * 1024))
    async with asyncio.TaskGroup() as tasks:
        closing = tasks.create_task(output.close(), name="closing")
        await settle()
        assert writer.transport.get_write_buffer_size()
        closing.cancel()
    assert closing.cancelled()
    assert not writer.transport.get_write_buffer_size()
    silent.close()
    server.close()
    await settle()


def sockets() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
