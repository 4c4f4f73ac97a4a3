"""A token bucket per address: so many at once, and so many a second after that."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict

MOST_ADDRESSES = 4096
"""Addresses that are remembered; beyond, the one unseen for longest is forgotten."""


class Buckets:
    """Pure: time is an argument. An address is what `network_of` makes of it."""

    def __init__(self, *, burst: float, rate: float) -> None:
        self._burst = float(burst)
        self._rate = rate
        # network -> (tokens left, as of when), the one heard of last at the end
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def wait(self, address: str, now: float) -> int:
        """Whole seconds until this address has a token; 0 when it has one now. Takes none."""
        left = self._tokens(network_of(address), now)
        return 0 if left >= 1 else math.ceil((1 - left) / self._rate)

    def take(self, address: str, now: float) -> None:
        """Takes a token, or what is left of one."""
        network = network_of(address)
        self._left[network] = (max(0.0, self._tokens(network, now) - 1), now)
        self._left.move_to_end(network)
        if len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)

    def _tokens(self, network: str, now: float) -> float:
        left, since = self._left.get(network, (self._burst, now))
        return min(self._burst, left + (now - since) * self._rate)


def network_of(address: str) -> str:
    """What counts as one address: for IPv6 the network of 64 bits, whose addresses one machine may take at will."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)).network_address)
    return str(parsed)
