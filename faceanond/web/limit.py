"""How many offers, or additions to them, somebody may make: an offer costs a key pair and a few sockets.

Somebody is a viewer at an address. Without viewers it is the address alone, and everybody behind one proxy is one.
"""

from __future__ import annotations

from faceanond.buckets import Buckets, network_of

BURST = 80
"""Offers at once: a wall of forty cameras, reloaded."""
RATE = 5.0
"""Offers a second after that."""


class OfferLimit:
    """Of one kind of request. Pure: time is an argument."""

    def __init__(self, *, burst: float = BURST, rate: float = RATE) -> None:
        self._buckets = Buckets(burst=burst, rate=rate)

    def ask(self, address: str, now: float, *, viewer: str = "") -> int:
        """0 when the offer may be made, else after how many seconds to try again."""
        somebody = f"{viewer} at {network_of(address)}" if viewer else address
        wait = self._buckets.wait(somebody, now)
        if not wait:
            self._buckets.take(somebody, now)
        return wait
