"""How many connections a listener holds, and for whom: an open one costs a descriptor and memory, and anybody can open
as many as he likes.

The rule: a newcomer gets in. When all places are taken, the address that holds the most loses its oldest one, among
those that nobody uses just now. So who floods throws himself out, and nobody else.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

import structlog

from faceanond.buckets import network_of
from faceanond.clock import Clock
from faceanond.ratelimit import RateLimited

log = structlog.get_logger(__name__)


class Held(Protocol):
    """A connection, as it is counted."""

    @property
    def client(self) -> str:
        """The address of its other end."""
        ...

    @property
    def busy(self) -> bool:
        """Whether it is in use: a request is being answered on it, or a player plays."""
        ...

    def abort(self) -> None:
        """Cuts it; `Connections.went` is called soon."""
        ...


class Connections:
    """All that one listener holds, at most `most`."""

    def __init__(self, most: int, *, listener: str, clock: Clock) -> None:
        """`listener` is its name in the log."""
        self._most = most
        self._listener = listener
        self._clock = clock
        # Connection -> its network, the oldest first.
        self._held: dict[Held, str] = {}
        self._refused = RateLimited[str]()

    def __len__(self) -> int:
        return len(self._held)

    def came(self, connection: Held) -> bool:
        """One more; cuts one where that is too many. False when that one is the newcomer."""
        self._held[connection] = network_of(connection.client)
        if len(self._held) <= self._most:
            return True
        victim = self._victim(connection)
        if told := self._refused.note(victim.client, self._clock.monotonic()):
            log.warning(
                "too many connections", listener=self._listener, client=told.last, count=told.count, most=self._most
            )
        self.went(victim)
        victim.abort()
        return victim is not connection

    def went(self, connection: Held) -> None:
        """It is closed; safe twice."""
        self._held.pop(connection, None)

    def _victim(self, newcomer: Held) -> Held:
        """The oldest idle connection of the network that holds the most idle ones; the newcomer when none is idle."""
        idle = {connection: network for connection, network in self._held.items() if not connection.busy}
        crowd = Counter(idle.values())
        return max(idle, key=lambda connection: crowd[idle[connection]], default=newcomer)
