from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import aioice
import ifaddr
import pytest
from aiortc import RTCPeerConnection

from faceanond.errors import UsageError
from faceanond.publish.webrtc import ice
from faceanond.publish.webrtc.errors import NoFreePortError
from faceanond.publish.webrtc.ice import EdgeConnection, Network, bind, host_addresses


@pytest.fixture
def adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    def adapter(name: str, *addresses: object) -> SimpleNamespace:
        return SimpleNamespace(name=name, ips=[SimpleNamespace(ip=address) for address in addresses])

    monkeypatch.setattr(
        ifaddr,
        "get_adapters",
        lambda: [
            adapter("lo", "127.0.0.1", ("::1", 0, 0)),
            adapter("eth0", "192.0.2.2", ("2001:db8::2", 0, 0), ("fe80::1", 0, 2)),
            adapter("docker0", "172.17.0.1"),
            adapter("br-5f2a", "172.18.0.1"),
        ],
    )


@pytest.mark.usefixtures("adapters")
def test_bridges_loopback_and_link_local_addresses_are_not_offered() -> None:
    assert host_addresses(None) == ["192.0.2.2", "2001:db8::2"]


@pytest.mark.usefixtures("adapters")
@pytest.mark.parametrize("local", ["127.0.0.1", "::1", "172.17.0.1"])
def test_the_address_where_the_viewer_asked_comes_first_whatever_it_is(local: str) -> None:
    assert host_addresses(local) == [local, "192.0.2.2", "2001:db8::2"]


@pytest.mark.usefixtures("adapters")
def test_an_ipv4_address_of_a_dual_stack_listener_is_unwrapped() -> None:
    assert host_addresses("::ffff:192.0.2.2") == ["192.0.2.2", "2001:db8::2"]


def test_a_machine_with_loopback_alone_offers_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ifaddr, "get_adapters", list)
    assert host_addresses(None) == ["127.0.0.1"]


def test_an_external_address_must_be_an_address() -> None:
    with pytest.raises(UsageError, match=r'webrtc.external_addresses: "cameras.example" is not an IP address'):
        Network(external=("cameras.example",))


@contextlib.contextmanager
def closing(sockets: list[socket.socket]) -> Iterator[list[socket.socket]]:
    try:
        yield sockets
    finally:
        for opened in sockets:
            opened.close()


def test_every_address_gets_the_same_port() -> None:
    with closing(bind(["127.0.0.1", "127.0.0.2", "127.0.0.3"], Network())) as sockets:
        assert [opened.getsockname()[0] for opened in sockets] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
        assert len({opened.getsockname()[1] for opened in sockets}) == 1


def free_range(length: int) -> tuple[int, int]:
    """Ports that are free now on the loopback addresses which these tests use."""
    for first in range(42000, 60000, length):
        with contextlib.suppress(NoFreePortError), contextlib.ExitStack() as stack:
            for port in range(first, first + length):
                stack.enter_context(closing(bind(["127.0.0.1", "127.0.0.2"], Network((port, port)))))
            return first, first + length - 1
    pytest.fail("no free ports")


def test_ports_come_from_the_range_and_its_end_is_told() -> None:
    network = Network(free_range(3))
    with contextlib.ExitStack() as stack:
        taken = {
            opened.getsockname()[1]
            for _ in range(3)
            for opened in stack.enter_context(closing(bind(["127.0.0.1", "127.0.0.2"], network)))
        }
        assert taken == set(range(network.ports[0], network.ports[1] + 1))
        with pytest.raises(NoFreePortError, match=r"webrtc\.udp_ports"):
            bind(["127.0.0.1"], network)


def test_a_port_that_is_taken_on_one_address_is_passed_over_on_all() -> None:
    network = Network(free_range(2))
    with closing(bind(["127.0.0.2"], Network((network.ports[0], network.ports[0])))):
        for _ in range(4):
            with closing(bind(["127.0.0.1", "127.0.0.2"], network)) as sockets:
                assert [opened.getsockname()[1] for opened in sockets] == [network.ports[1]] * 2


def test_an_address_that_is_not_ours_is_left_out() -> None:
    with closing(bind(["198.51.100.77", "127.0.0.1"], Network())) as sockets:
        assert [opened.getsockname()[0] for opened in sockets] == ["127.0.0.1"]


async def test_external_addresses_are_offered_with_the_port_of_the_same_family() -> None:
    network = Network(external=("203.0.113.9", "2001:db8::9"))
    connection = EdgeConnection(aioice.Connection(ice_controlling=False), network, "127.0.0.1")
    try:
        await connection.gather_candidates()
        found = {candidate.host: candidate for candidate in connection.local_candidates}
        assert found["203.0.113.9"].port == found["127.0.0.1"].port
        assert found["203.0.113.9"].type == "host"
        assert found["203.0.113.9"].priority < found["127.0.0.1"].priority
        assert ("2001:db8::9" in found) == any(":" in host for host in found if host != "2001:db8::9")
    finally:
        await connection.close()


async def test_a_silent_stun_server_costs_a_candidate_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silence(*_: object) -> None:
        raise aioice.stun.TransactionTimeout

    monkeypatch.setattr(ice, "server_reflexive_candidate", silence)
    stock = aioice.Connection(ice_controlling=False, stun_server=("192.0.2.99", 3478))
    connection = EdgeConnection(stock, Network(), "127.0.0.1")
    try:
        await connection.gather_candidates()
        assert {candidate.type for candidate in connection.local_candidates} == {"host"}
    finally:
        await connection.close()


async def test_datagrams_that_nobody_reads_do_not_pile_up() -> None:
    connection = EdgeConnection(aioice.Connection(ice_controlling=False), Network(), None)
    for _ in range(10 * ice.MOST_WAITING):
        connection.data_received(b"junk", 1)
    assert connection._queue.qsize() == ice.MOST_WAITING


async def test_an_empty_datagram_is_nobody_s_business() -> None:
    connection = EdgeConnection(aioice.Connection(ice_controlling=False), Network(), None)
    connection.data_received(b"", 1)
    assert connection._queue.qsize() == 0


async def test_aiortc_uses_the_agent_that_it_was_given() -> None:
    connection = RTCPeerConnection()
    try:
        transport = connection.addTransceiver("video").receiver.transport.transport
        agent = ice.adopt(transport, Network(external=("203.0.113.9",)), "127.0.0.1")
        await connection.setLocalDescription(await connection.createOffer())
        assert f"a=ice-ufrag:{agent.local_username}" in connection.localDescription.sdp
        assert " 203.0.113.9 " in connection.localDescription.sdp
        assert transport.role in ("controlling", "controlled")
    finally:
        await connection.close()
    assert agent._protocols == []
