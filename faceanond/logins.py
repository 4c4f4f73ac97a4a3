"""Wrong passwords and tokens, however they came: counted, told, and after some of them the address has to wait.

Every listener notes them here. Waiting is per address (IPv6: per network of 64 bits, which is what one customer gets),
so nobody locks anybody else out, except behind one NAT.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from faceanond.buckets import Buckets
from faceanond.clock import Clock

log = structlog.get_logger(__name__)

PROTOCOLS = ("http", "rtsp")
"""Where somebody can log in."""
BURST = 20
"""Wrong logins at once: a recorder with forty cameras whose password was changed tries half of them."""
RATE = 0.2
"""Wrong logins a second after that: a password of 8 random letters and digits lasts millions of years."""


TELL_EVERY = 1.0
"""Seconds between two lines about wrong logins at one address."""
TELL_WAITING_EVERY = 60.0
"""Seconds between two lines about an address that has to wait."""
MOST_LINES = 10
"""Lines a second about all addresses together. What is not told now is in the count of the address's next line."""
MOST_RUNS = 1024
"""Addresses whose count is kept for their next line."""


@dataclass(slots=True)
class _Run:
    """The wrong logins at one address: all, and those that no line has told of yet."""

    failed: int = 0
    untold: int = 0
    told: float = float("-inf")
    waiting_told: float = float("-inf")


class FailedLogins:
    """Used by all listeners of one daemon, on the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts = dict.fromkeys(PROTOCOLS, 0)
        self._tries = Buckets(burst=BURST, rate=RATE)
        # By address, the one heard of last at the end.
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._second, self._lines = float("-inf"), 0

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
        now = self._clock.monotonic()
        self._counts[protocol] += 1
        run = self._run(address)
        run.failed += 1
        run.untold += 1
        if now - run.told >= TELL_EVERY and self._has_line(now):
            log.warning("login failed", protocol=protocol, client=address, viewer=name or None, count=run.untold)
            run.told, run.untold = now, 0
        if again:
            return
        self._tries.take(address, now)
        wait = self._tries.wait(address, now)
        if wait and now - run.waiting_told >= TELL_WAITING_EVERY and self._has_line(now):
            log.warning("address must wait after wrong logins", client=address, failed=run.failed, seconds=wait)
            run.waiting_told, run.told, run.untold = now, now, 0

    def _run(self, address: str) -> _Run:
        run = self._runs.setdefault(address, _Run())
        self._runs.move_to_end(address)
        if len(self._runs) > MOST_RUNS:
            self._runs.popitem(last=False)
        return run

    def _has_line(self, now: float) -> bool:
        if now - self._second >= 1.0:
            self._second, self._lines = now, 0
        self._lines += 1
        return self._lines <= MOST_LINES
