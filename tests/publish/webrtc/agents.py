"""ICE agents on shared ports, and the connectivity checks that viewers send to them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aioice
from aioice import stun

from faceanond.publish.webrtc.ice import EdgeConnection, Network
from tests.publish.webrtc.test_sockets import free_range

VIEWER = "viewerfragment"
"""The remote half of the names in checks."""


def free_port() -> int:
    """A UDP port that is free on the loopback addresses of these tests."""
    return free_range(1)[0]


@contextlib.asynccontextmanager
async def agent(network: Network, local: str = "127.0.0.1") -> AsyncIterator[EdgeConnection]:
    """An agent that has gathered its candidates and knows its viewer's name."""
    one = EdgeConnection(aioice.Connection(ice_controlling=False), network, local)
    try:
        await one.gather_candidates()
        one.remote_username, one.remote_password = VIEWER, "p" * 22
        yield one
    finally:
        await one.close()


def check(one: EdgeConnection, *, password: str | None = None, name: str | None = None) -> bytes:
    """A connectivity check for that agent, signed with its password or with another one."""
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{name or one.local_username}:{VIEWER}"
    request.attributes["PRIORITY"] = 1
    request.attributes["ICE-CONTROLLING"] = 1
    request.add_message_integrity((password or one.local_password).encode())
    return bytes(request)
