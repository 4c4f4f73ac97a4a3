"""Our edge of ICE: which addresses and ports a viewer is offered. The one module that reaches into aioice.

aioice binds a random port on every interface and offers them all. Here the port comes from `webrtc.udp_ports` and is
the same on each address (so that one forwarded range is enough), container bridges are left out, loopback is offered
to viewers which came over loopback, and `webrtc.external_addresses` are offered besides, with the same port.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import random
import socket
from dataclasses import dataclass

import aioice
import ifaddr
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, server_reflexive_candidate
from aiortc import RTCIceTransport

from faceanond.errors import UsageError
from faceanond.publish.webrtc.errors import NoFreePortError

RECEIVE_BUFFER = 64 * 1024
"""Bytes of socket buffer; viewers send only reports and connectivity checks."""
MOST_WAITING = 256
"""Datagrams kept unread: anyone can send to an open port, and aioice's queue has no end."""
TRIES = 16
"""Ports tried where any may be taken, until one is free on every address."""
_BRIDGES = ("docker", "br-", "veth", "virbr", "vnet", "cni", "flannel", "cali", "podman", "lxc", "lxd", "kube")
"""How the names of container and virtual machine bridges begin: no viewer reaches us there."""


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses and ports of the configuration. Raises UsageError when an external address is not one."""

    ports: tuple[int, int] = (0, 0)
    external: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in self.external:
            try:
                ipaddress.ip_address(text)
            except ValueError:
                raise UsageError(f'webrtc.external_addresses: "{text}" is not an IP address') from None

    def candidates(self) -> list[int]:
        """The ports to try, in order: from a random start on, so that viewers spread over the range."""
        first, last = self.ports
        if first == 0:
            return [0] * TRIES
        ports = list(range(first, last + 1))
        start = random.randrange(len(ports))  # noqa: S311 (a port is no secret)
        return ports[start:] + ports[:start]


def host_addresses(local: str | None) -> list[str]:
    """This machine's addresses that a viewer may reach, the best first.

    `local` is the address on which the viewer's HTTP request arrived: it is reachable for certain, so it comes first,
    even when it is loopback or a bridge.
    """
    found: list[str] = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            address = ipaddress.ip_address(text)
            bridge = str(adapter.name).startswith(_BRIDGES)
            if not (address.is_loopback or address.is_link_local or bridge):
                found.append(text)
    if local is not None and not ipaddress.ip_address(local).is_link_local:
        # A listener on [::] sees IPv4 viewers as ::ffff:a.b.c.d.
        parsed = ipaddress.ip_address(local)
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        found.insert(0, str(mapped or parsed))
    return list(dict.fromkeys(found)) or ["127.0.0.1"]


def bind(addresses: list[str], network: Network) -> list[socket.socket]:
    """UDP sockets on the same port of each address; an address that cannot be bound at all is left out.

    Raises NoFreePortError. The caller closes the sockets.
    """
    tries = network.candidates()
    for number, wanted in enumerate(tries, start=1):
        sockets: list[socket.socket] = []
        taken = False
        port = wanted
        for address in addresses:
            try:
                opened = _open(address, port)
            except OSError as error:
                taken = taken or error.errno == errno.EADDRINUSE
                continue
            sockets.append(opened)
            port = port or opened.getsockname()[1]
        # Where any port will do, some address is better than none.
        if sockets and (not taken or (network.ports[0] == 0 and number == len(tries))):
            return sockets
        for opened in sockets:
            opened.close()
    first, last = network.ports
    where = f"webrtc.udp_ports {first}-{last}" if first else "this machine"
    raise NoFreePortError(f"no UDP port of {where} is free")


def _open(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        opened.bind((address, port))
    except OSError:
        opened.close()
        raise
    return opened


class EdgeConnection(aioice.Connection):
    """An ICE agent whose host candidates come from `host_addresses` and `bind`."""

    def __init__(self, stock: aioice.Connection, network: Network, local: str | None) -> None:
        super().__init__(
            ice_controlling=stock.ice_controlling,
            stun_server=stock.stun_server,
            turn_server=stock.turn_server,
            turn_username=stock.turn_username,
            turn_password=stock.turn_password,
            turn_ssl=stock.turn_ssl,
            turn_transport=stock.turn_transport,
        )
        self._network = network
        self._local = local
        self._idle = asyncio.Event()
        self._idle.set()

    async def connect(self) -> None:
        self._idle.clear()
        try:
            await super().connect()
        finally:
            self._idle.set()

    async def settled(self) -> None:
        """Waits until no `connect` runs: aiortc starts it in a task that it does not wait for when it closes."""
        await self._idle.wait()

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[aioice.Candidate]:
        """Called by `gather_candidates`; `addresses` is aioice's own list, which we do not use."""
        protocols = await self._listen()
        found: list[aioice.Candidate] = []
        for rank, protocol in enumerate(protocols):
            host, port = protocol.transport.get_extra_info("sockname")[:2]
            protocol.local_candidate = _host_candidate(component, host, port, rank)
            found.append(protocol.local_candidate)
        # A list of our own: the external ones are only told, the sockets are the local ones.
        for rank, external in enumerate(self._network.external, start=len(found)):
            version = ipaddress.ip_address(external).version
            behind = next((one for one in found if ipaddress.ip_address(one.host).version == version), None)
            if behind is not None:
                found.append(_host_candidate(component, external, behind.port, rank))
        # No addresses: what is left to the base class is the TURN server.
        found.extend(await super().get_component_candidates(component=component, addresses=[], timeout=timeout))
        found.extend(await self._reflexive(protocols, timeout))
        return found

    async def _listen(self) -> list[StunProtocol]:
        loop = asyncio.get_running_loop()
        sockets = bind(host_addresses(self._local), self._network)
        protocols: list[StunProtocol] = []
        try:
            while sockets:
                _, protocol = await loop.create_datagram_endpoint(lambda: StunProtocol(self), sock=sockets[0])
                sockets.pop(0)
                protocols.append(protocol)
                # From here on the agent's close() closes it.
                self._protocols.append(protocol)
        finally:
            for opened in sockets:
                opened.close()
        return protocols

    async def _reflexive(self, protocols: list[StunProtocol], timeout: float) -> list[aioice.Candidate]:
        """What a configured STUN server says our address is; silence or an error only means no such candidate."""
        protocol = next((one for one in protocols if ":" not in one.local_candidate.host), None)
        if self.stun_server is None or protocol is None:
            return []
        try:
            async with asyncio.timeout(timeout):
                candidate, _ = await server_reflexive_candidate(protocol, self.stun_server)
        except (TimeoutError, OSError, aioice.stun.TransactionError, KeyError):
            return []
        return [candidate]

    def data_received(self, data: bytes, component: int) -> None:
        # aiortc looks at the first byte; an empty datagram from anybody would end the session.
        if data and self._queue.qsize() < MOST_WAITING:
            super().data_received(data, component)


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


def adopt(transport: RTCIceTransport, network: Network, local: str | None) -> EdgeConnection:
    """Gives a fresh aiortc transport our agent in place of its own, which has opened nothing yet."""
    connection = EdgeConnection(transport._connection, network, local)
    transport.iceGatherer._connection = connection
    transport._connection = connection
    transport._recv = connection.recv
    transport._send = connection.send
    return connection


def release(connection: EdgeConnection) -> None:
    """Drops the sockets at once, for an agent whose close() did not return."""
    for protocol in connection._protocols:
        protocol.transport.abort()
