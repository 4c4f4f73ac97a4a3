"""Wrong passwords and tokens, however they came: counted, told, and after some of them the address has to wait.

Every listener notes them here. Waiting is per address (IPv6: per network of 64 bits, which is what one customer gets),
so nobody locks anybody else out, except behind one NAT.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from faceanond.buckets import Buckets
from faceanond.clock import Clock
from faceanond.ratelimit import RateLimited

log = structlog.get_logger(__name__)

PROTOCOLS = ("http", "rtsp")
"""Where somebody can log in."""
BURST = 20
"""Wrong logins at once: a recorder with forty cameras whose password was changed tries half of them."""
RATE = 0.2
"""Wrong logins a second after that: a password of 8 random letters and digits lasts millions of years."""


class FailedLogins:
    """Used by all listeners of one daemon, on the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts = dict.fromkeys(PROTOCOLS, 0)
        self._tries = Buckets(burst=BURST, rate=RATE)
        self._telling = RateLimited[tuple[str, str]]()

    @property
    def counts(self) -> Mapping[str, int]:
        """Wrong logins since the start, by protocol."""
        return self._counts

    def wait(self, address: str) -> int:
        """Whole seconds until this address may try again; 0 when it may now. Whoever must wait is not even listened to:
        else the right password would be found all the same."""
        return self._tries.wait(address, self._clock.monotonic())

    def note(self, protocol: str, address: str, *, name: str = "", again: bool = False) -> None:
        """A login was wrong. `name` is the viewer that it claimed to be, if there is one: what else was typed
        there could be a password, and is not told.

        `again` says that the very same one was wrong before from there, so that it is no guess: a page left open after
        its password was changed, or a script. It is counted and told, and costs no try.
        """
        self._counts[protocol] += 1
        if told := self._telling.note((address, name), self._clock.monotonic()):
            client, claimed = told.last
            log.warning("login failed", protocol=protocol, client=client, viewer=claimed or None, count=told.count)
        if not again:
            self._tries.take(address, self._clock.monotonic())
