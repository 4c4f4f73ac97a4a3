"""One UDP port for all viewers: one socket on each address of ours, shared by all ICE agents.

A connectivity check says by its USERNAME which agent it is for, and its signature proves that the sender has read that
agent's answer. From then on everything from the sender's address is that agent's. Answers to our own checks find their
way back by the transaction. All else is dropped and counted, and nothing is answered that is not signed, so the port
reflects nothing.

An address that one session holds goes to another one only by a round trip: else whoever can forge a sender's address
could draw a viewer's packets into a session of his own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

import aioice
from aioice import stun

from faceanond.publish.webrtc.port import Port
from faceanond.publish.webrtc.protocol import (
    Drop,
    EdgeProtocol,
    EdgeTransport,
    Peer,
    is_request,
    is_stun,
    names,
    read,
    vouches,
)
from faceanond.publish.webrtc.sockets import SHARED_BUFFER, open_udp

MOST_PEERS = 16
"""Remote addresses that one session may hold: a viewer has a few per interface, and NATs change them."""
MOST_UNSENT = 4 * 1024 * 1024
"""Bytes that may wait for the network card, all viewers together; what is beyond is lost, as on any full line."""


class Place(EdgeProtocol):
    """One agent's share of one gate; aioice takes it for a protocol with a socket of its own."""

    def __init__(self, agent: aioice.Connection, gate: Gate) -> None:
        super().__init__(agent)
        self.agent = agent
        self.peers: set[Peer] = set()
        self._gate = gate
        self.connection_made(EdgeTransport(self, gate.name, send=gate.send, left=lambda: gate.leave(self)))

    async def request(
        self, request: stun.Message, addr: Peer, integrity_key: bytes | None = None, retransmissions: int | None = None
    ) -> tuple[stun.Message, Peer]:
        with self._gate.expecting(request.transaction_id, self):
            answer = await super().request(request, addr, integrity_key, retransmissions)
        if integrity_key is not None and answer[1] == addr:
            self._gate.give(addr, self, proven=True)
        return answer


class _Expecting:
    """Lets answers to one request find the agent, for as long as it waits."""

    def __init__(self, waiting: dict[bytes, Place], transaction: bytes, place: Place) -> None:
        self._waiting, self._transaction, self._place = waiting, transaction, place

    def __enter__(self) -> None:
        self._waiting[self._transaction] = self._place

    def __exit__(self, *_: object) -> None:
        self._waiting.pop(self._transaction, None)


class Gate(asyncio.DatagramProtocol):
    """The shared port on one address: who holds which remote address."""

    def __init__(self, find: Callable[[str], aioice.Connection | None], dropped: Counter[Drop]) -> None:
        self._find = find
        self._dropped = dropped
        self._places: dict[aioice.Connection, Place] = {}
        self._peers: dict[Peer, Place] = {}
        self._waiting: dict[bytes, Place] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self.name: Peer = ("", 0)

    @property
    def idle(self) -> bool:
        return not self._places

    @property
    def broken(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    @property
    def peers(self) -> int:
        """Remote addresses that are held now."""
        return len(self._peers)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own datagram transport is no DatagramTransport by inheritance.
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.name = transport.get_extra_info("sockname")[:2]

    def connection_lost(self, exc: Exception | None) -> None:
        for place in tuple(self._places.values()):
            place.transport.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def join(self, agent: aioice.Connection) -> Place:
        place = self._places[agent] = Place(agent, self)
        return place

    def leave(self, place: Place) -> None:
        self._places.pop(place.agent, None)
        for peer in place.peers:
            del self._peers[peer]
        place.peers.clear()

    def expecting(self, transaction: bytes, place: Place) -> _Expecting:
        return _Expecting(self._waiting, transaction, place)

    def give(self, peer: Peer, place: Place, *, proven: bool) -> None:
        """Lets a place hold an address, unless another one does and this one has not proven that it is there."""
        holder = self._peers.get(peer)
        if holder is place or self._places.get(place.agent) is not place:
            return
        if holder is not None:
            if not proven:
                return
            holder.peers.discard(peer)
        self._peers[peer] = place
        place.peers.add(peer)

    def send(self, data: bytes, peer: Peer) -> None:
        transport = self._transport
        # A port beyond 65535 is no OSError: asyncio would close the socket, for everybody.
        if transport is None or transport.is_closing() or not 0 < peer[1] < 65536:
            return
        if transport.get_write_buffer_size() > MOST_UNSENT:  # type: ignore[attr-defined]
            self._dropped[Drop.UNSENT] += 1
            return
        transport.sendto(data, peer)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        peer: Peer = (addr[0], addr[1])
        if not is_stun(data):
            place = self._peers.get(peer)
        elif is_request(data):
            self._checked(data, peer)
            return
        else:
            place = self._waiting.get(data[8:20])
        if place is None:
            self._dropped[Drop.UNKNOWN] += 1
            return
        place.datagram_received(data, peer)

    def _checked(self, data: bytes, peer: Peer) -> None:
        """Takes a connectivity check to its agent."""
        message = read(data)
        agent = self._find(names(message)) if message is not None else None
        place = self._places.get(agent) if agent is not None else None
        if message is None or agent is None or place is None:
            self._dropped[Drop.UNKNOWN] += 1
        elif not vouches(message, agent):
            self._dropped[Drop.UNSIGNED] += 1
        elif peer not in place.peers and len(place.peers) >= MOST_PEERS:
            self._dropped[Drop.CROWDED] += 1
        else:
            self.give(peer, place, proven=False)
            place.datagram_received(data, peer)


class SharedPort(Port[Gate]):
    """The port on all addresses."""

    def __init__(self, port: int) -> None:
        super().__init__(port, key="webrtc.udp_ports", kind="UDP")

    @property
    def agents(self) -> int:
        return len(self._agents)

    @property
    def peers(self) -> int:
        """Remote addresses that are held now, all sessions together."""
        return sum(gate.peers for gate in self._ends.values())

    async def join(self, agent: aioice.Connection, addresses: Sequence[str]) -> list[Place]:
        """A protocol for the agent on each of the addresses that can be listened on."""
        return [gate.join(agent) for gate in await self._admit(agent, addresses)]

    async def _listen(self, address: str) -> Gate:
        opened = open_udp(address, self.port, SHARED_BUFFER, SHARED_BUFFER)
        try:
            _, gate = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: Gate(self._agents.get, self.dropped), sock=opened
            )
        except BaseException:
            opened.close()
            raise
        return gate
