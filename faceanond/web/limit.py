"""How many offers, or additions to them, one address may make: an offer costs a key pair and a few sockets."""

from __future__ import annotations

import math
from collections import OrderedDict

from faceanond.logins import network_of

BURST = 80
"""Offers at once: a wall of forty cameras, reloaded."""
RATE = 5.0
"""Offers a second after that."""
MOST_ADDRESSES = 4096


class OfferLimit:
    """A token bucket per address (IPv6: per network of 64 bits). Pure: time is an argument. Forgets the address unseen
    for longest when full.
    """

    def __init__(self, *, burst: float = BURST, rate: float = RATE) -> None:
        self._burst = burst
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def ask(self, address: str, now: float) -> int:
        """0 when the offer may be made, else after how many seconds to try again."""
        address = network_of(address)
        tokens, seen = self._buckets.pop(address, (self._burst, now))
        tokens = min(self._burst, tokens + (now - seen) * self._rate)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - tokens) / self._rate))
