"""How a player's packets leave: inside its own TCP connection, or as datagrams from a pair of UDP ports.

The rule: nothing queues up here. TCP waits for the peer (the reader's ring drops meanwhile), UDP drops.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from faceanond.clock import Clock
from faceanond.publish.rtsp.datagrams import Datagrams, bind_pair, connect
from faceanond.publish.rtsp.messages import Interleaved, RtspError
from faceanond.publish.rtsp.transport import OverTcp, OverUdp

WRITE_AHEAD = 256 * 1024
"""Bytes that may wait for a slow TCP peer besides the kernel's buffer: a keyframe or two. Beyond, its ring drops."""
CLOSING = 1.0
"""Seconds for the last bytes to leave."""


class Delivery(Protocol):
    """One player's way out."""

    @property
    def name(self) -> str:
        """ "tcp" or "udp", for the log."""
        ...

    @property
    def transport_header(self) -> str:
        """What the answer to SETUP says, without the SSRC."""
        ...

    @property
    def refused_at(self) -> float | None:
        """Since when the player's machine says that nobody listens there (monotonic); None while it does not."""
        ...

    def send(self, packets: Sequence[bytes]) -> None:
        """Sends RTP packets; never waits."""
        ...

    def send_rtcp(self, data: bytes) -> None:
        """Sends an RTCP packet; never waits."""
        ...

    async def ready(self) -> None:
        """Waits until the peer can take more. Raises ConnectionError when it is gone."""
        ...

    def close(self) -> None:
        """Frees what it owns; safe twice."""
        ...


class Output:
    """The sending half of a connection, shared by answers and interleaved packets; it knows since when it is stuck."""

    def __init__(self, writer: asyncio.StreamWriter, *, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self.blocked_since: float | None = None
        """Since when the peer takes no more (monotonic); None while it does."""
        writer.transport.set_write_buffer_limits(high=WRITE_AHEAD)

    def write(self, data: bytes) -> None:
        """Sends, or buffers; call `drained` before the next one."""
        self._writer.write(data)

    async def drained(self) -> None:
        """Waits until the peer has taken most of it. Raises ConnectionError when it is gone."""
        if self.blocked_since is None:
            self.blocked_since = self._clock.monotonic()
        await self._writer.drain()
        self.blocked_since = None

    async def close(self) -> None:
        """Lets the last bytes leave, but not for long: a peer that does not read would hold us here for ever."""
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSING):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()
        except asyncio.CancelledError:
            self._writer.transport.abort()
            raise


class TcpDelivery:
    """Interleaved in the connection that the player already has; that connection's owner closes it."""

    name = "tcp"
    refused_at: float | None = None

    def __init__(self, output: Output, wanted: OverTcp) -> None:
        self._output = output
        self._rtp, self._rtcp = wanted.channels

    @property
    def transport_header(self) -> str:
        return f"RTP/AVP/TCP;unicast;interleaved={self._rtp}-{self._rtcp}"

    def send(self, packets: Sequence[bytes]) -> None:
        # One write a picture: each costs a system call.
        self._output.write(b"".join(Interleaved(self._rtp, packet).encode() for packet in packets))

    def send_rtcp(self, data: bytes) -> None:
        self._output.write(Interleaved(self._rtcp, data).encode())

    async def ready(self) -> None:
        await self._output.drained()

    def close(self) -> None:
        """Nothing is owned."""


class UdpDelivery:
    """Two sockets, connected to the player's address, so that nobody else's datagrams arrive here.

    Players also send empty packets to our RTP port to open their NAT; those mean nothing.
    """

    name = "udp"

    def __init__(self, wanted: OverUdp, *, clock: Clock, heard: Callable[[bytes], None]) -> None:
        self._wanted = wanted
        self._clock = clock
        self._heard = heard
        self._ports = (0, 0)
        self._rtp = Datagrams(refused=self._refused)
        self._rtcp = Datagrams(arrived=self._arrived)
        self.refused_at: float | None = None

    async def open(self, connection: socket.socket) -> None:
        """Binds an even and the next odd port on the address at which the player reached us.

        Raises RtspError 503 when there is none, or no socket at all.
        """
        loop = asyncio.get_running_loop()
        opened: list[socket.socket] = []
        try:
            opened = bind_pair(connection)
            for one, port in zip(opened, self._wanted.ports, strict=True):
                connect(one, connection, port)
        except OSError as error:
            for one in opened:
                one.close()
            raise RtspError(503, f"no UDP ports: {error.strerror}") from None
        rtp, rtcp = opened
        self._ports = rtp.getsockname()[1], rtcp.getsockname()[1]
        try:
            await loop.create_datagram_endpoint(lambda: self._rtp, sock=rtp)
            await loop.create_datagram_endpoint(lambda: self._rtcp, sock=rtcp)
        except BaseException:
            # Cancelled half-way: nobody has this delivery yet, to close it.
            self.close()
            rtcp.close()
            raise

    @property
    def transport_header(self) -> str:
        client, server = self._wanted.ports, self._ports
        return f"RTP/AVP/UDP;unicast;client_port={client[0]}-{client[1]};server_port={server[0]}-{server[1]}"

    def send(self, packets: Sequence[bytes]) -> None:
        for packet in packets:
            self._rtp.send(packet)

    def send_rtcp(self, data: bytes) -> None:
        self._rtcp.send(data)

    async def ready(self) -> None:
        """Datagrams never wait."""

    def close(self) -> None:
        self._rtp.close()
        self._rtcp.close()

    def _arrived(self, data: bytes) -> None:
        self.refused_at = None
        self._heard(data)

    def _refused(self) -> None:
        if self.refused_at is None:
            self.refused_at = self._clock.monotonic()
