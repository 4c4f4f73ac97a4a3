"""Keeps one camera's stream at its media server: one attempt after the other, for ever, with back-off.

    waiting --first keyframe--> connecting --server records--> up --failure--> retrying --delay--> connecting

The camera is never touched: a push only reads its stream, and loses packets of its own when the server is slow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

import structlog

from faceanond.attempt import attempt
from faceanond.backoff import Backoff
from faceanond.clock import Clock
from faceanond.errors import PushError, PushFault
from faceanond.publish.push.target import Target
from faceanond.publish.stream import Stream, StreamClosedError
from faceanond.ratelimit import RateLimited
from faceanond.redact import redact
from faceanond.status import PushState, PushStatus

log = structlog.get_logger(__name__)

TOLD_EVERY = 300.0
"""Seconds between two log lines about the same trouble with one server, which forty cameras may share."""
LONGEST_WAIT = 600.0
"""Seconds at most for which a server's Retry-After is obeyed."""


class Attempt(Protocol):
    """One try: connects, calls back when the server takes the stream, and sends until it fails."""

    async def run(self) -> None:
        """Raises PushError, or StreamClosedError when the camera was taken away."""
        ...


MakeAttempt = Callable[[Target, Stream, Callable[[], None]], Attempt]
"""(where to, what, the call when the server takes it)."""


class Pusher:
    """One camera's push. `run` lasts as long as the stream."""

    def __init__(
        self, target: Target, stream: Stream, make: MakeAttempt, *, clock: Clock, backoff: Backoff | None = None
    ) -> None:
        self._target = target
        self._stream = stream
        self._make = make
        self._clock = clock
        self._backoff = Backoff() if backoff is None else backoff
        self._state = PushState.WAITING
        self._since = clock.wall()
        self._up_at: float | None = None
        self._retry_at: float | None = None
        self._failures: Counter[str] = Counter()
        self._last: PushError | None = None
        self._trouble = RateLimited[PushError](interval=TOLD_EVERY)

    def status(self) -> PushStatus:
        """How it stands now; from memory."""
        retry_in = None if self._retry_at is None else max(0.0, self._retry_at - self._clock.monotonic())
        return PushStatus(
            state=self._state,
            since=self._since,
            url=self._target.shown,
            last_error=None if self._last is None else redact(str(self._last)),
            retry_in=retry_in,
            failures=dict(self._failures),
        )

    async def run(self) -> None:
        """Pushes until cancelled, or until the camera's stream is closed."""
        try:
            await self._stream.described()
            while True:
                await self._clock.sleep(await self._once())
        except StreamClosedError:
            log.info("push ended", camera=self._target.camera, reason="its camera was taken away")

    async def _once(self) -> float:
        """One attempt; returns the seconds to wait before the next one. Raises StreamClosedError."""
        self._change(PushState.CONNECTING)
        error = await attempt(self._attempt(), name=f"push attempt:{self._target.camera}")
        if isinstance(error, StreamClosedError):
            raise error
        if error is None:
            error = PushError(PushFault.CLOSED, "the server ended the session")
        elif not isinstance(error, PushError):
            # A defect in pushing must end neither the other cameras nor the daemon.
            log.error("push failed by a defect", camera=self._target.camera, exc_info=error)
            error = PushError(PushFault.INTERNAL, "internal error; see the log")
        return self._failed(error)

    async def _attempt(self) -> None:
        await self._make(self._target, self._stream, self._connected).run()

    def _connected(self) -> None:
        self._up_at = self._clock.monotonic()
        self._change(PushState.UP)
        self._trouble.rest()
        log.info("push started", camera=self._target.camera, url=self._target.shown)

    def _failed(self, error: PushError) -> float:
        now = self._clock.monotonic()
        delay = self._backoff.failed(0.0 if self._up_at is None else now - self._up_at)
        if error.retry_after > delay:
            delay = min(error.retry_after, LONGEST_WAIT)
        if self._up_at is not None or self._last is None or self._last.fault is not error.fault:
            # A new trouble is told at once.
            self._trouble = RateLimited(interval=TOLD_EVERY)
        self._up_at = None
        self._last = error
        self._failures[error.fault] += 1
        self._retry_at = now + delay
        self._change(PushState.RETRYING, retry_at=now + delay)
        if told := self._trouble.note(error, now):
            log.warning(
                "push failed",
                camera=self._target.camera,
                url=self._target.shown,
                reason=error.fault.value,
                detail=str(error),
                attempts=told.count,
                retry_in=round(delay, 1),
            )
        return delay

    def _change(self, state: PushState, *, retry_at: float | None = None) -> None:
        self._state, self._since, self._retry_at = state, self._clock.wall(), retry_at
