from __future__ import annotations

import aioice
import pytest
from aiortc import RTCPeerConnection

from faceanond.publish.webrtc import ice
from faceanond.publish.webrtc.addresses import ExternalAddresses
from faceanond.publish.webrtc.ice import EdgeConnection, Network


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
