"""aioice's protocol (one agent's end of one socket) made safe for ports that anyone can send to."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import aioice
import structlog
from aioice import stun
from aioice.ice import StunProtocol

log = structlog.get_logger(__name__)

Peer = tuple[str, int]
"""A remote address and port."""
_COOKIE = struct.pack("!I", stun.COOKIE)


class Drop(StrEnum):
    """Why a datagram, or a TCP connection of a viewer, was dropped."""

    UNKNOWN = "unknown"
    """From or for nobody that we know."""
    UNSIGNED = "unsigned"
    """A check without the right signature."""
    CROWDED = "crowded"
    """From one address, or one connection, too many."""
    UNSENT = "unsent"
    """Ours, when too much waited to be sent."""
    SLOW = "slow"
    """A connection whose viewer does not read."""
    SILENT = "silent"
    """A connection that never showed a signed check."""
    MALFORMED = "malformed"
    """A connection that speaks something else."""


class EdgeProtocol(StunProtocol):
    """Survives whatever a datagram makes aioice stumble over: it expects ValueError alone, and there are others."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        try:
            super().datagram_received(data, addr)
        except Exception as error:  # noqa: BLE001 (the loop would log each one, as often as somebody likes)
            log.debug("datagram dropped", error=type(error).__name__)


class EdgeTransport(asyncio.DatagramTransport):
    """What a protocol takes for its socket, where the real one belongs to more agents than its own.

    Sends by `send`; closing calls `left`, and the protocol's `connection_lost` at once.
    """

    def __init__(
        self, protocol: EdgeProtocol, name: Peer, *, send: Callable[[bytes, Peer], None], left: Callable[[], None]
    ) -> None:
        super().__init__()
        self._protocol = protocol
        self._name = name
        self._send = send
        self._left = left
        self._closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._name if name == "sockname" else default

    def sendto(self, data: Any, addr: Any = None) -> None:
        if not self._closed:
            self._send(data, addr)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._left()
            self._protocol.connection_lost(None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closed


def is_stun(data: bytes) -> bool:
    """Whether a datagram is STUN rather than DTLS, RTP or RTCP (RFC 7983), or junk."""
    return len(data) >= stun.HEADER_LENGTH and data[0] < 4 and data[4:8] == _COOKIE


def is_request(data: bytes) -> bool:
    """Whether a STUN message asks for something."""
    return int.from_bytes(data[:2], "big") & 0x0110 == stun.Class.REQUEST


def read(data: bytes) -> stun.Message | None:
    """A STUN message; None when it is none."""
    try:
        return stun.parse_message(data)
    except (ValueError, struct.error):
        return None


def names(message: stun.Message) -> str:
    """The agent that a request is meant for: the first half of its USERNAME; empty when it names none."""
    return str(message.attributes.get("USERNAME", "")).partition(":")[0]


def vouches(message: stun.Message, agent: aioice.Connection) -> bool:
    """Whether the sender of a request knows the password of the agent's answer."""
    key: bytes = agent.local_password.encode()
    return names(message) == agent.local_username and bool(message.check_message_integrity(key))
