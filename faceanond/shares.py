"""How many streams each viewer watches, over all protocols together: the one place that counts them.

`viewers.NAME.max_streams` is a viewer's share, so that one viewer, or one token that got out, cannot take every place
of a listener. The listeners' own limits stand beside it. Snapshots, files of recordings, and what is recorded or pushed
are no streams of a viewer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import structlog

from faceanond.clock import Clock
from faceanond.config import model
from faceanond.errors import FaceanondError
from faceanond.ratelimit import RateLimited

log = structlog.get_logger(__name__)

RETRY_AFTER = 12
"""Seconds after which a stream whose viewer was killed is over, in every protocol: who comes back after that finds the
place of its own dead one free."""
TELL_EVERY = 60.0
"""Seconds between two lines about one viewer: a page with more cameras than its share asks again all day."""


class OverShareError(FaceanondError):
    """A viewer has all the streams that it may have at a time; worth trying again after `retry_after` seconds."""

    def __init__(self, viewer: str, most: int) -> None:
        self.retry_after = RETRY_AFTER
        # The reason that closes a WebSocket has 123 bytes at most, and a viewer's name 63.
        super().__init__(f"watching {most} of {most} streams (viewers.{viewer}.max_streams)")


class Place:
    """One stream of a viewer, until `release` or the end of a `with` block, whichever comes first."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def release(self) -> None:
        """Gives the place back; safe twice."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Shares:
    """Used by all listeners of one daemon, on the event loop."""

    def __init__(self, viewers: Mapping[str, model.Viewer], *, clock: Clock) -> None:
        self._most = {
            name: settings.max_streams for name, settings in viewers.items() if settings.max_streams is not None
        }
        self._clock = clock
        self._held: Counter[str] = Counter()
        self._refused = {name: RateLimited[str](interval=TELL_EVERY) for name in self._most}

    def held(self, viewer: str) -> int:
        """The streams of that viewer now."""
        return self._held[viewer]

    def take(self, viewer: str, protocol: str) -> Place:
        """A place for one more stream of that viewer. Raises OverShareError, and tells the log, when that is one too
        many. Who watches without a login ("") has no share."""
        most = self._most.get(viewer)
        if most is not None and self._held[viewer] >= most:
            if told := self._refused[viewer].note(protocol, self._clock.monotonic()):
                reason = f"viewers.{viewer}.max_streams reached"
                log.warning(
                    "viewer refused", viewer=viewer, protocol=told.last, reason=reason, most=most, count=told.count
                )
            raise OverShareError(viewer, most)
        self._held[viewer] += 1

        def give_back() -> None:
            self._held[viewer] -= 1

        return Place(give_back)
