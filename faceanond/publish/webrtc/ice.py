"""Our edge of ICE: which addresses and ports a viewer is offered, and our agent in place of aiortc's.

aioice binds a random port on every interface and offers them all. Here the port comes from `webrtc.udp_ports` and is
the same on each address (so that one forwarded port or range is enough), or one port serves all viewers; interfaces
are chosen by `webrtc.interfaces`, loopback is offered to viewers which came over loopback, and
`webrtc.external_addresses` are offered besides, with the same port. This module and its neighbours `protocol`,
`shared_port` and `tcp_port` are the only ones that reach into aioice; `internals` lists what they find there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import aioice
import structlog
from aioice import stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol, server_reflexive_candidate
from aiortc import RTCIceTransport

from faceanond.publish.webrtc.addresses import ExternalAddresses, host_addresses, unwrapped
from faceanond.publish.webrtc.errors import NoAddressError, NoFreePortError
from faceanond.publish.webrtc.protocol import EdgeProtocol, Peer, vouches
from faceanond.publish.webrtc.shared_port import SharedPort
from faceanond.publish.webrtc.sockets import bind
from faceanond.publish.webrtc.tcp_port import TcpPort, passive_candidate

log = structlog.get_logger(__name__)

MOST_WAITING = 256
"""Datagrams kept unread: anyone can send to an open port, and aioice's queue has no end."""
MOST_REMOTES = 32
"""Remote addresses that an agent looks at: those of the offer, and those from which signed checks came."""
MOST_PAIRS = 512
"""Pairs of a socket of ours and a remote address that an agent checks; over TCP each connection makes one."""
MOST_CONFLICTS = 3
"""Times that one check is made again because the viewer claims our role; two ends agree at the first."""
DISCARD = 9
"""The port that nobody listens on (RFC 863): a TURN server lets a whole address through, whatever the port."""


@dataclass(frozen=True, slots=True)
class Network:
    """What the viewers' agents have in common: where they listen and what they tell.

    `ports` are for agents with sockets of their own (0 for any); `shared` is used instead where there is one.
    """

    ports: tuple[int, int] = (0, 0)
    interfaces: tuple[str, ...] = ()
    external: ExternalAddresses = field(default_factory=ExternalAddresses)
    shared: SharedPort | None = None
    tcp: TcpPort | None = None

    def addresses(self, local: str | None = None) -> list[str]:
        return host_addresses(local, self.interfaces)


class EdgeConnection(aioice.Connection):
    """An ICE agent on the sockets of a `Network`.

    `local` is the address of ours on which the viewer's offer came, `remote` the viewer's, where they are known.
    """

    def __init__(
        self, stock: aioice.Connection, network: Network, local: str | None, remote: str | None = None
    ) -> None:
        super().__init__(
            ice_controlling=stock.ice_controlling,
            stun_server=stock.stun_server,
            turn_server=stock.turn_server,
            turn_username=stock.turn_username,
            turn_password=stock.turn_password,
            turn_ssl=stock.turn_ssl,
            turn_transport=stock.turn_transport,
            # aioice's own four letters are too few to tell the viewers of one port apart for certain.
            local_username=secrets.token_hex(8),
            local_password=secrets.token_hex(16),
        )
        self._network = network
        self._local = local
        self._remote = unwrapped(remote)
        self._idle = asyncio.Event()
        self._idle.set()
        # How often each check that runs now has been begun again.
        self._begun: Counter[CandidatePair] = Counter()

    async def connect(self) -> None:
        self._idle.clear()
        try:
            await super().connect()
        finally:
            self._idle.set()

    async def settled(self) -> None:
        """Waits until no `connect` runs: aiortc starts it in a task that it does not wait for when it closes."""
        await self._idle.wait()

    async def close(self) -> None:
        self.leave()
        await super().close()

    def leave(self) -> None:
        """Lets nobody find this agent any more through a port that it shares."""
        if self._network.shared is not None:
            self._network.shared.leave(self)
        if self._network.tcp is not None:
            self._network.tcp.leave(self)

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[aioice.Candidate]:
        """Called by `gather_candidates`; `addresses` is aioice's own list, which we do not use.

        Raises NoAddressError or NoFreePortError.
        """
        own = self._network.addresses(self._local)
        external = await self._network.external.current()
        protocols = await self._listen(own)
        if not (protocols or self.turn_server):
            raise NoAddressError("no interface that may be offered (webrtc.interfaces) has an address now")
        found: list[aioice.Candidate] = []
        listening = [protocol.transport.get_extra_info("sockname")[:2] for protocol in protocols]
        for rank, (host, port, index) in enumerate(_told(listening, external)):
            candidate = _host_candidate(component, host, port, rank)
            found.append(candidate)
            if index is not None:
                protocols[index].local_candidate = candidate
        if self._network.tcp is not None:
            passive = await self._network.tcp.join(self, own)
            found.extend(
                passive_candidate(host, port, rank=rank)
                for rank, (host, port, _) in enumerate(_told(passive, external))
            )
        async with asyncio.TaskGroup() as group:
            # No addresses: what is left to the base class is the TURN server.
            relayed = group.create_task(
                super().get_component_candidates(component=component, addresses=[], timeout=timeout), name="TURN"
            )
            reflexive = group.create_task(self._reflexive(protocols, timeout), name="STUN")
        found.extend(reflexive.result() + relayed.result())
        self._admit_at_relay(found)
        return found

    async def _listen(self, addresses: Sequence[str]) -> Sequence[StunProtocol]:
        """A protocol for each address that can be listened on, in their order."""
        if not addresses:
            return []
        if self._network.shared is not None:
            places = await self._network.shared.join(self, addresses)
            if not places:
                raise NoFreePortError(f"UDP port {self._network.shared.port} (webrtc.udp_ports) cannot be listened on")
            # From here on the agent's close() closes them.
            self._protocols.extend(places)
            return places
        loop = asyncio.get_running_loop()
        sockets = bind(addresses, self._network.ports)
        protocols: list[StunProtocol] = []
        try:
            while sockets:
                _, protocol = await loop.create_datagram_endpoint(lambda: EdgeProtocol(self), sock=sockets[0])
                sockets.pop(0)
                protocols.append(protocol)
                self._protocols.append(protocol)
        finally:
            for opened in sockets:
                opened.close()
        return protocols

    async def _reflexive(self, protocols: Sequence[StunProtocol], timeout: float) -> list[aioice.Candidate]:
        """What a configured STUN server says our address is; silence or an error only means no such candidate."""
        protocol = next((one for one in protocols if ":" not in one.local_candidate.host), None)
        if self.stun_server is None or protocol is None:
            return []
        try:
            async with asyncio.timeout(timeout):
                candidate, _ = await server_reflexive_candidate(protocol, self.stun_server)
        except (TimeoutError, OSError, stun.TransactionError, KeyError) as error:
            log.warning("the STUN server gives no address", server=self.stun_server[0], error=type(error).__name__)
            return []
        return [candidate]

    def _admit_at_relay(self, found: Sequence[aioice.Candidate]) -> None:
        """Lets the viewer's checks pass the TURN server.

        It passes on only what comes from addresses to which we have sent, and browsers hide theirs from web pages, so
        that the offer names none. The one that we know is where the offer came from.
        """
        if self.turn_server is None:
            return
        if not any(candidate.type == "relay" for candidate in found):
            log.warning("the TURN server gives no address", server=self.turn_server[0])
        if self._remote is None or ipaddress.ip_address(self._remote).is_loopback:
            return
        indication = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.INDICATION)
        for protocol in self._protocols:
            candidate = getattr(protocol, "local_candidate", None)
            if candidate is not None and candidate.type == "relay":
                protocol.send_stun(indication, (self._remote, DISCARD))

    def request_received(self, message: stun.Message, addr: Peer, protocol: StunProtocol) -> None:
        """Looks at signed checks only, and answers no others: what anyone can make us send, anyone can aim."""
        if vouches(message, self) and self._has_room_for(addr, protocol):
            super().request_received(message, addr, protocol)

    def _has_room_for(self, addr: Peer, protocol: StunProtocol) -> bool:
        remotes = ((one._network_host, one.port) for one in self._remote_candidates)
        if len(self._remote_candidates) >= MOST_REMOTES and addr not in remotes:
            return False
        pairs = ((one.protocol, one.remote_addr) for one in self._check_list)
        return len(self._check_list) < MOST_PAIRS or (protocol, addr) in pairs

    async def check_start(self, pair: CandidatePair) -> None:
        """Begins itself anew, from inside, for as long as the viewer claims to have our role: without end, if it likes,
        and deeper each time."""
        if self._begun[pair] > MOST_CONFLICTS:
            self.check_state(pair, CandidatePair.State.FAILED)
            self.check_complete(pair)
            return
        self._begun[pair] += 1
        try:
            await super().check_start(pair)
        finally:
            self._begun[pair] -= 1
            if not self._begun[pair]:
                del self._begun[pair]

    def data_received(self, data: bytes, component: int) -> None:
        # aiortc looks at the first byte; an empty datagram from anybody would end the session.
        if data and self._queue.qsize() < MOST_WAITING:
            super().data_received(data, component)


def _told(listening: Sequence[Peer], external: Sequence[str]) -> Iterator[tuple[str, int, int | None]]:
    """What a viewer is told, the best first: (address, port, index of the socket or None for an external address).

    First where the viewer's offer came in, then the addresses for viewers outside, then the rest: browsers try every
    pair of addresses one after the other, and each try that leads nowhere costs time.
    """
    own = {host for host, _ in listening}
    for index, (host, port) in enumerate(listening):
        yield host, port, index
        if index > 0:
            continue
        for address in external:
            version = ipaddress.ip_address(address).version
            # The port is the same everywhere, so any socket of the family says which one it is.
            behind = next((port for host, port in listening if ipaddress.ip_address(host).version == version), None)
            if behind is not None and address not in own:
                yield address, behind, None


def _host_candidate(component: int, host: str, port: int, rank: int) -> aioice.Candidate:
    return aioice.Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=component,
        transport="udp",
        priority=candidate_priority(component, "host", 65535 - rank),
        host=host,
        port=port,
        type="host",
    )


def adopt(transport: RTCIceTransport, network: Network, local: str | None, remote: str | None = None) -> EdgeConnection:
    """Gives a fresh aiortc transport our agent in place of its own, which has opened nothing yet."""
    connection = EdgeConnection(transport._connection, network, local, remote)
    transport.iceGatherer._connection = connection
    transport._connection = connection
    transport._recv = connection.recv
    transport._send = connection.send
    return connection


def release(connection: EdgeConnection) -> None:
    """Drops the sockets at once, for an agent whose close() did not return."""
    connection.leave()
    for protocol in tuple(connection._protocols):
        transport = protocol.transport
        # One on a TURN server cannot abort: it gives its address back, in a task of its own, and is gone then.
        end = transport.abort if hasattr(transport, "abort") else transport.close
        end()
