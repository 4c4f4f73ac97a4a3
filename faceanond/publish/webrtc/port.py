"""One port for all viewers, listened on at each address of ours: what the UDP and the TCP one have in common."""

from __future__ import annotations

import asyncio
import errno
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import aioice
import structlog

from faceanond.errors import UnavailableError
from faceanond.publish.webrtc.protocol import Drop
from faceanond.sockets import cannot_listen

log = structlog.get_logger(__name__)


class End(Protocol):
    """The port on one address."""

    @property
    def idle(self) -> bool:
        """Whether nobody uses it, or was told of it and may still come."""
        ...

    @property
    def broken(self) -> bool:
        """Whether nothing more will come of it."""
        ...

    def close(self) -> None: ...


E = TypeVar("E", bound=End)


class Port(ABC, Generic[E]):
    """`open` and `close` are its owner's; agents join and leave in between."""

    def __init__(self, port: int, *, key: str, kind: str) -> None:
        """`key` is that of the configuration, `kind` is "UDP" or "TCP"."""
        self.port = port
        self.dropped: Counter[Drop] = Counter()
        self._key = key
        self._kind = kind
        self._agents: dict[str, aioice.Connection] = {}
        self._ends: dict[str, E] = {}
        self._opening = asyncio.Lock()

    @abstractmethod
    async def _listen(self, address: str) -> E:
        """Raises OSError."""

    async def open(self, addresses: Sequence[str]) -> None:
        """Listens on these addresses; those that do not exist (any more) are left out.

        Raises UnavailableError when the port is taken on one of them.
        """
        async with self._opening:
            for address in addresses:
                await self._open(address)

    def leave(self, agent: aioice.Connection) -> None:
        """Forgets the agent's name; what it has of the port goes as aioice closes it."""
        self._agents.pop(agent.local_username, None)

    def close(self) -> None:
        for end in self._ends.values():
            end.close()
        self._ends.clear()

    async def _admit(self, agent: aioice.Connection, addresses: Sequence[str]) -> list[E]:
        """Takes an agent in; gives the port on each of the addresses that can be listened on, in their order."""
        async with self._opening:
            for address in [address for address, end in self._ends.items() if end.broken]:
                del self._ends[address]
            for address in addresses:
                try:
                    await self._open(address)
                except UnavailableError as error:
                    log.warning("an address is left out", reason=str(error))
            # Addresses come and go (privacy extensions make a new one every day); what nobody uses is closed.
            for address in [address for address, end in self._ends.items() if end.idle]:
                if address not in addresses:
                    self._ends.pop(address).close()
            self._agents[agent.local_username] = agent
            return [self._ends[address] for address in addresses if address in self._ends]

    async def _open(self, address: str) -> None:
        if address in self._ends:
            return
        try:
            self._ends[address] = await self._listen(address)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise cannot_listen(self._key, address, self.port, error, kind=self._kind) from None
            log.info("an address cannot be listened on", address=address, reason=error.strerror)
