"""Wrong passwords and tokens, however they came: counted, told, and after some of them the address has to wait.

Every listener notes them here. Waiting is per address (IPv6: per network of 64 bits, which is what one customer gets),
so nobody locks anybody else out, except behind one NAT.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Mapping

import structlog

from faceanond.clock import Clock
from faceanond.ratelimit import RateLimited

log = structlog.get_logger(__name__)

PROTOCOLS = ("http", "rtsp")
"""Where somebody can log in."""
BURST = 20
"""Wrong logins at once: a recorder with forty cameras whose password was changed tries half of them."""
RATE = 0.2
"""Wrong logins a second after that: a password of 8 random letters and digits lasts millions of years."""
MOST_ADDRESSES = 4096


class FailedLogins:
    """Used by all listeners of one daemon, on the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts = dict.fromkeys(PROTOCOLS, 0)
        # address -> (tries left, as of when), the address heard of last at the end
        self._tries: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._telling = RateLimited[tuple[str, str]]()

    @property
    def counts(self) -> Mapping[str, int]:
        """Wrong logins since the start, by protocol."""
        return self._counts

    def wait(self, address: str) -> int:
        """Whole seconds until this address may try again; 0 when it may now. Whoever must wait is not even listened to:
        else the right password would be found all the same."""
        left = self._left(network_of(address))
        return 0 if left >= 1 else math.ceil((1 - left) / RATE)

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
        if again:
            return
        network = network_of(address)
        left = self._left(network)
        self._tries[network] = (max(0.0, left - 1), self._clock.monotonic())
        self._tries.move_to_end(network)
        if len(self._tries) > MOST_ADDRESSES:
            self._tries.popitem(last=False)

    def _left(self, network: str) -> float:
        left, since = self._tries.get(network, (float(BURST), 0.0))
        return min(float(BURST), left + (self._clock.monotonic() - since) * RATE)


def network_of(address: str) -> str:
    """What counts as one address: for IPv6 the network of 64 bits, whose addresses one machine may take at will."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)).network_address)
    return str(parsed)
