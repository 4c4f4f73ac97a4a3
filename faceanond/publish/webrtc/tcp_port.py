"""Media over TCP (RFC 6544), for viewers whose network lets no UDP out: one port that they connect to.

We are passive: we offer the port in the answer and wait. The first thing on a connection must be a connectivity check
that is signed with an answer's password; it says which agent the connection belongs to. Each message has its length in
front (RFC 4571). TCP delivers late rather than never, which live video has no use for: while a viewer does not keep up,
whole packets are dropped, and one that does not catch up is disconnected.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Mapping, Sequence

import aioice

from faceanond.buckets import network_of
from faceanond.clock import Clock
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
from faceanond.publish.webrtc.sockets import open_tcp
from faceanond.sockets import tune

LARGEST = 2048
"""Bytes of a message from a viewer: checks, DTLS records and RTCP, all made for UDP."""
MOST_UNSENT = 256 * 1024
"""Bytes that may wait for a viewer: about a second of video."""
SEND_BUFFER = 128 * 1024
"""Bytes for the kernel's side: less than elsewhere, since whole packets wait here besides."""
SLOW = 5.0
"""Seconds after which a viewer that still does not keep up is disconnected."""
UNKNOWN_FOR = 10.0
"""Seconds for the first signed check."""
CHECK_INTERVAL = 1.0
"""Seconds between two looks for connections that must end."""
MOST_UNKNOWN = 64
"""Connections that have not shown a check yet, all together; one more, and the oldest goes."""
MOST_UNKNOWN_EACH = 16
"""The same, from one address: a household or an office behind NAT, not a flood."""
MOST_EACH = 4
"""Connections of one session: a browser opens one for each candidate."""


class Line(asyncio.Protocol):
    """One TCP connection of a viewer. It is `agent`'s once that is known."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._place: EdgeProtocol | None = None
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self.peer: Peer = ("", 0)
        self.network = ""
        self.agent: aioice.Connection | None = None
        self.since = listener.clock.monotonic()
        self.slow_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if peer is None:  # gone already
            transport.abort()
            return
        self.peer = peer[:2]
        self.network = network_of(self.peer[0])
        transport.set_write_buffer_limits(high=MOST_UNSENT, low=MOST_UNSENT // 4)
        tune(transport.get_extra_info("socket"), send_buffer=SEND_BUFFER)
        self._listener.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.went(self)
        agent, place = self.agent, self._place
        if agent is None or place is None:
            return
        place.transport.close()
        # A viewer may come again and again; an agent that closes walks over this list just now.
        if not agent._closing:
            agent._protocols.remove(place)

    def pause_writing(self) -> None:
        self.slow_since = self._listener.clock.monotonic()

    def resume_writing(self) -> None:
        self.slow_since = None

    def end(self, why: Drop) -> None:
        """Cuts the connection: what waits is old, and closing politely would wait for the viewer to read it."""
        self._listener.dropped[why] += 1
        self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def send(self, data: bytes, _: Peer) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self.slow_since is not None:
            self._listener.dropped[Drop.UNSENT] += 1
            return
        self._transport.write(struct.pack("!H", len(data)) + data)

    def data_received(self, data: bytes) -> None:
        unread = self._unread + data
        start = 0
        while len(unread) - start >= 2:
            length = int.from_bytes(unread[start : start + 2], "big")
            if length > LARGEST:
                self.end(Drop.MALFORMED)
                return
            if len(unread) - start < 2 + length:
                break
            self._message(unread[start + 2 : start + 2 + length])
            start += 2 + length
            if self._transport is None or self._transport.is_closing():
                return
        self._unread = unread[start:]

    def _message(self, data: bytes) -> None:
        if self._place is not None:
            self._place.datagram_received(data, self.peer)
            return
        message = read(data) if is_stun(data) and is_request(data) else None
        if message is None:
            self.end(Drop.MALFORMED)
            return
        agent = self._listener.find(names(message))
        if agent is None:
            self.end(Drop.UNKNOWN)
        elif not vouches(message, agent):
            self.end(Drop.UNSIGNED)
        elif not self._listener.admits(agent):
            self.end(Drop.CROWDED)
        else:
            self.agent = agent
            self._place = place = EdgeProtocol(agent)
            place.local_candidate = self._listener.candidate
            place.connection_made(EdgeTransport(place, self._listener.name, send=self.send, left=self.abort))
            # As its own gathering would have done: from here on the agent's close() closes it.
            agent._protocols.append(place)
            place.datagram_received(data, self.peer)


class Listener:
    """The port on one address, and who is connected to it."""

    def __init__(
        self,
        name: Peer,
        *,
        agents: Mapping[str, aioice.Connection],
        dropped: Counter[Drop],
        lines: set[Line],
        most: int,
        clock: Clock,
    ) -> None:
        self.name = name
        self.dropped = dropped
        self.clock = clock
        self.server: asyncio.Server | None = None
        self.candidate = passive_candidate(*name, rank=0)
        self._agents = agents
        self._lines = lines
        self._most = most

    @property
    def idle(self) -> bool:
        """Whether nobody is connected, and nobody may still be about to: every agent was told of every address."""
        return not self._agents and not any(line._listener is self for line in self._lines)

    @property
    def broken(self) -> bool:
        return self.server is None or not self.server.is_serving()

    def close(self) -> None:
        if self.server is not None:
            self.server.close()

    def find(self, name: str) -> aioice.Connection | None:
        return self._agents.get(name)

    def came(self, line: Line) -> None:
        unknown = [other for other in self._lines if other.agent is None]
        here = sum(1 for other in unknown if other.network == line.network)
        full = len(self._lines) >= self._most or len(unknown) >= MOST_UNKNOWN
        if here >= MOST_UNKNOWN_EACH or (full and not unknown):
            line.end(Drop.CROWDED)
            return
        if full:
            # A viewer shows its check within a round trip, so that the oldest is least likely to be one.
            oldest = min(unknown, key=lambda other: other.since)
            self._lines.discard(oldest)
            oldest.end(Drop.CROWDED)
        self._lines.add(line)

    def went(self, line: Line) -> None:
        self._lines.discard(line)

    def admits(self, agent: aioice.Connection) -> bool:
        return sum(1 for line in self._lines if line.agent is agent) < MOST_EACH


class TcpPort(Port[Listener]):
    """The port on all addresses; `watch` is its owner's, too."""

    def __init__(self, port: int, *, most: int, clock: Clock) -> None:
        """`most` bounds the connections, all viewers together."""
        super().__init__(port, key="webrtc.tcp_port", kind="TCP")
        self._most = most
        self._clock = clock
        self._lines: set[Line] = set()

    @property
    def connections(self) -> int:
        return len(self._lines)

    async def join(self, agent: aioice.Connection, addresses: Sequence[str]) -> list[Peer]:
        """Where the agent's viewer may connect: one (address, port) for each address that can be listened on."""
        return [listener.name for listener in await self._admit(agent, addresses)]

    async def watch(self) -> None:
        """Until cancelled, ends connections that show no check in time, and those whose viewers do not read."""
        while True:
            await self._clock.sleep(CHECK_INTERVAL)
            now = self._clock.monotonic()
            for line in tuple(self._lines):
                if line.agent is None and now - line.since >= UNKNOWN_FOR:
                    line.end(Drop.SILENT)
                elif line.slow_since is not None and now - line.slow_since >= SLOW:
                    line.end(Drop.SLOW)

    def close(self) -> None:
        super().close()
        for line in tuple(self._lines):
            line.abort()

    async def _listen(self, address: str) -> Listener:
        opened = open_tcp(address, self.port)
        listener = Listener(
            opened.getsockname()[:2],
            agents=self._agents,
            dropped=self.dropped,
            lines=self._lines,
            most=self._most,
            clock=self._clock,
        )
        try:
            listener.server = await asyncio.get_running_loop().create_server(lambda: Line(listener), sock=opened)
        except BaseException:
            opened.close()
            raise
        return listener


def passive_candidate(host: str, port: int, *, rank: int) -> aioice.Candidate:
    """A TCP candidate that is connected to. UDP is better in every way, so all of it comes first (RFC 6544, 4.2)."""
    preference = 4 << 13 | (0x1FFF - rank)
    return aioice.Candidate(
        foundation=aioice.candidate.candidate_foundation("host", "tcp", host),
        component=1,
        transport="tcp",
        priority=(90 << 24) + (preference << 8) + 255,
        host=host,
        port=port,
        type="host",
        tcptype="passive",
    )
