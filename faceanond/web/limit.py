"""How many offers, or additions to them, one address may make: an offer costs a key pair and a few sockets."""

from __future__ import annotations

from faceanond.buckets import Buckets

BURST = 80
"""Offers at once: a wall of forty cameras, reloaded."""
RATE = 5.0
"""Offers a second after that."""


class OfferLimit:
    """Of one kind of request. Pure: time is an argument."""

    def __init__(self, *, burst: float = BURST, rate: float = RATE) -> None:
        self._buckets = Buckets(burst=burst, rate=rate)

    def ask(self, address: str, now: float) -> int:
        """0 when the offer may be made, else after how many seconds to try again."""
        wait = self._buckets.wait(address, now)
        if not wait:
            self._buckets.take(address, now)
        return wait
