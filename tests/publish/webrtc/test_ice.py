from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from types import SimpleNamespace

import aioice
import pytest
from aioice import stun
from aioice.ice import CandidatePair
from aioice.turn import TurnTransport
from aiortc import RTCPeerConnection

from faceanond.publish.webrtc import ice
from faceanond.publish.webrtc.addresses import ExternalAddresses
from faceanond.publish.webrtc.errors import NoAddressError
from faceanond.publish.webrtc.ice import EdgeConnection, Network
from tests.conftest import settle
from tests.publish.webrtc.agents import agent, check


async def test_external_addresses_are_offered_with_the_port_of_the_same_family() -> None:
    network = Network(external=ExternalAddresses(("203.0.113.9", "2001:db8::9")))
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
        agent = ice.adopt(transport, Network(external=ExternalAddresses(("203.0.113.9",))), "127.0.0.1")
        await connection.setLocalDescription(await connection.createOffer())
        assert f"a=ice-ufrag:{agent.local_username}" in connection.localDescription.sdp
        assert " 203.0.113.9 " in connection.localDescription.sdp
        assert transport.role in ("controlling", "controlled")
    finally:
        await connection.close()
    assert agent._protocols == []


async def offered(network: Network, local: str | None, *, turn: bool = False) -> list[aioice.Candidate]:
    """What an agent tells its viewer, the best first."""
    stock = aioice.Connection(ice_controlling=False, turn_server=("192.0.2.99", 3478) if turn else None)
    connection = EdgeConnection(stock, network, local)
    try:
        await connection.gather_candidates()
        return sorted(connection.local_candidates, key=lambda candidate: -candidate.priority)
    finally:
        await connection.close()


async def test_external_addresses_come_right_after_the_one_where_the_viewer_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Network, "addresses", lambda *_: ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    network = Network(external=ExternalAddresses(("203.0.113.9", "127.0.0.3", "203.0.113.10")))
    hosts = [candidate.host for candidate in await offered(network, "127.0.0.1")]
    assert hosts == ["127.0.0.1", "203.0.113.9", "203.0.113.10", "127.0.0.2", "127.0.0.3"]


async def test_an_external_name_is_offered_by_its_addresses() -> None:
    async def resolve(_: str) -> list[str]:
        return ["203.0.113.9"]

    network = Network(external=ExternalAddresses(("cameras.example.org",), resolve=resolve))
    hosts = [candidate.host for candidate in await offered(network, "127.0.0.1")]
    assert "203.0.113.9" in hosts
    assert "cameras.example.org" not in hosts


async def test_no_address_of_another_interface_is_offered() -> None:
    hosts = {candidate.host for candidate in await offered(Network(interfaces=("lo",)), "192.0.2.1")}
    assert "127.0.0.1" in hosts
    assert all(host in ("127.0.0.1", "::1") for host in hosts)


async def test_without_any_address_the_viewer_is_told_why() -> None:
    with pytest.raises(NoAddressError, match=r"webrtc\.interfaces"):
        await offered(Network(interfaces=("none0",)), "127.0.0.1")


class Relay(aioice.ice.StunProtocol):  # type: ignore[misc]
    """A protocol on a TURN server, as far as an agent can tell."""

    def __init__(self, receiver: aioice.Connection) -> None:
        super().__init__(receiver)
        self.sent: list[tuple[bytes, tuple[str, int]]] = []
        self.closed = False

    def send_stun(self, message: aioice.stun.Message, addr: tuple[str, int]) -> None:
        self.sent.append((bytes(message), addr))

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("remote", "admitted"),
    [("198.51.100.4", "198.51.100.4"), ("::ffff:198.51.100.4", "198.51.100.4"), ("127.0.0.1", None), (None, None)],
)
async def test_the_relay_is_told_to_let_the_viewers_address_through(
    monkeypatch: pytest.MonkeyPatch, remote: str | None, admitted: str | None
) -> None:
    async def relayed(*, protocol_factory: Callable[[], object], **_: object) -> tuple[aioice.Candidate, Relay]:
        receiver = protocol_factory().receiver  # type: ignore[attr-defined]
        protocol = Relay(receiver)
        protocol.local_candidate = aioice.Candidate("f", 1, "udp", 1, "203.0.113.5", 50000, "relay")
        return protocol.local_candidate, protocol

    monkeypatch.setattr(aioice.ice, "relayed_candidate", relayed)
    stock = aioice.Connection(ice_controlling=False, turn_server=("192.0.2.99", 3478))
    connection = EdgeConnection(stock, Network(), "127.0.0.1", remote)
    try:
        await connection.gather_candidates()
        (relay,) = [protocol for protocol in connection._protocols if isinstance(protocol, Relay)]
        assert [addr for _, addr in relay.sent] == ([(admitted, ice.DISCARD)] if admitted else [])
    finally:
        await connection.close()
    assert relay.closed


async def test_what_is_released_keeps_no_socket_and_no_address_at_a_relay() -> None:
    async with agent(Network(interfaces=("lo",))) as one:
        deleted: list[bool] = []

        async def delete() -> None:
            deleted.append(True)

        relay = Relay(one)
        relay.connection_made(TurnTransport(SimpleNamespace(delete=delete)))
        own = list(one._protocols)
        one._protocols.append(relay)
        ice.release(one)
        await settle()
        assert all(protocol.transport.is_closing() for protocol in own)
        assert deleted


async def test_a_check_without_the_right_signature_is_not_answered() -> None:
    async with agent(Network(interfaces=("lo",))) as one:
        sent: list[object] = []
        (protocol, *_) = one._protocols
        protocol.send_stun = lambda *message: sent.append(message)
        protocol.datagram_received(check(one, password="wrong" * 5), ("198.51.100.1", 5000))
        assert sent == []
        protocol.datagram_received(check(one), ("198.51.100.1", 5000))
        assert len(sent) == 1


async def test_a_viewer_cannot_make_an_agent_look_at_any_number_of_addresses() -> None:
    async with agent(Network(interfaces=("lo",))) as one:
        (protocol, *_) = one._protocols
        protocol.send_stun = lambda *_: None
        one._early_checks_done = True
        for number in range(200):
            protocol.datagram_received(check(one), ("198.51.100.1", 5000 + number))
        assert len(one._remote_candidates) == ice.MOST_REMOTES
        # Those that it knows are looked at as ever.
        protocol.send_stun = lambda *message: one._queue.put_nowait(message)
        protocol.datagram_received(check(one), ("198.51.100.1", 5000))
        assert one._queue.qsize() == 1


async def test_a_viewer_that_claims_our_role_again_and_again_is_not_asked_again_and_again() -> None:
    async with agent(Network(interfaces=("lo",))) as one:
        one._early_checks_done = True  # as if it had its viewer's answer
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as viewer:
            viewer.setblocking(False)
            viewer.bind(("127.0.0.1", 0))
            loop = asyncio.get_running_loop()
            await loop.sock_sendto(viewer, check(one), ("127.0.0.1", one.local_candidates[0].port))
            asked = 0
            while asked <= 10 * ice.MOST_CONFLICTS:
                try:
                    async with asyncio.timeout(0.4):
                        data, place = await loop.sock_recvfrom(viewer, 2048)
                except TimeoutError:
                    break
                message = stun.parse_message(data)
                if message.message_class != stun.Class.REQUEST:
                    continue
                asked += 1
                refusal = stun.Message(
                    message_method=stun.Method.BINDING,
                    message_class=stun.Class.ERROR,
                    transaction_id=message.transaction_id,
                )
                refusal.attributes["ERROR-CODE"] = (487, "Role Conflict")
                refusal.add_message_integrity(b"p" * 22)
                await loop.sock_sendto(viewer, bytes(refusal), place)
        assert asked == 1 + ice.MOST_CONFLICTS
        assert [pair.state for pair in one._check_list] == [CandidatePair.State.FAILED]
        assert not one._begun
