"""Who watched what, for the log: the same lines in the same words for every protocol.

A stream is told twice, as somebody begins to watch it and as that ends. What is fetched piece by piece, recordings and
snapshots, is told once in a while: a line for each piece would hide all others.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import structlog

from faceanond.clock import Clock
from faceanond.ratelimit import RateLimited

log = structlog.get_logger(__name__)

STOPPING = "server stopping"
LEFT = "left"
DEFECT = "internal error"
"""Reasons that all protocols share."""
MOST_REMEMBERED = 4096
"""Who fetches what, so many at once; beyond, who has fetched nothing for longest is forgotten, and told again."""


class Who(NamedTuple):
    """Somebody who watches: a viewer's name, "" without a login, and the address that its connection comes from."""

    viewer: str
    client: str


class Watch:
    """One viewer's time at one camera's stream: making it tells the beginning. `more` is what else a protocol knows."""

    def __init__(self, camera: str, who: Who, *, protocol: str, clock: Clock, **more: str) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._over = False
        self._log = log.bind(camera=camera, viewer=who.viewer, client=who.client, protocol=protocol, **more)
        self._log.info("viewer joined")

    def end(self, reason: str) -> None:
        """Tells the end; the first one counts."""
        if not self._over:
            self._over = True
            self._log.info("viewer left", seconds=round(self._clock.monotonic() - self._began, 1), reason=reason)


class Fetches:
    """What is fetched again and again: told at first, and at most once per `interval` seconds while it goes on."""

    def __init__(self, event: str, *, interval: float, clock: Clock) -> None:
        self._event = event
        self._interval = interval
        self._clock = clock
        # (camera, who, file) -> when to tell, whoever fetched last at the end.
        self._telling: OrderedDict[tuple[str, Who, str], RateLimited[None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._telling)

    def note(self, camera: str, who: Who, *, file: str = "", **more: str) -> None:
        """Somebody fetches something of that camera, with `file` that recording. `more` is told as it is."""
        key = camera, who, file
        telling = self._telling.setdefault(key, RateLimited(interval=self._interval))
        self._telling.move_to_end(key)
        if len(self._telling) > MOST_REMEMBERED:
            self._telling.popitem(last=False)
        if telling.note(None, self._clock.monotonic()):
            named = {"file": file, **more} if file else more
            log.info(self._event, camera=camera, viewer=who.viewer, client=who.client, protocol="http", **named)
