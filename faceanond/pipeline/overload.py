"""What a camera does when detection (or sealing) cannot keep up: the ladder of never-raw. Pure: no tasks, no clock.

    none        every picture is looked at and shown
    dropping    the mailbox drops pictures before detection, whichever a newer one pushed out
    reduced     that went on: fewer pictures are let in, evenly, as many as come out; viewers see a slower picture
                instead of a jerky one, and detector, sealing and encoder get less work
    concealing  a picture grew older than the limit before it could be shown: it is concealed

No rung shows a picture without its verdict, and none lets a picture wait for longer: what waits is bounded
everywhere, and what is too old is not shown (`in_time`). The ladder only decides how many pictures are let in.

It looks back on windows of two seconds. It climbs down at once and up with care: a faster rate is a trial, which ends
with the first window that does not bear it, and the pause before the next trial doubles. So a load that stays where
it is keeps the ladder where it is. One second of trouble in a healthy camera costs some seconds at nine tenths of its
rate.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

from faceanond.pipeline.spacing import Spacing
from faceanond.status import OverloadState

WINDOW = 2.0
"""Seconds that one judgement looks back on: 50 pictures of most cameras."""
EVIDENCE, LONGEST_WINDOW = 4, 4 * WINDOW
"""Pictures without which nothing is judged in a camera that shows few, and the seconds after which it is all the same:
trials that are judged by one or two pictures overshoot."""
LOOK_EVERY = 0.5
"""Seconds between two looks: pictures that come too late are noticed so soon."""
DROP_SHARE = 0.1
"""Of the pictures that were let in: more that are dropped before detection are an overload, and visible."""
CALM_SHARE = 0.05
"""Of the same: fewer are not. Between the two everything stays as it is."""
FEWEST_DROPS = 3
"""In one window: less is chance, above all in a camera with few pictures a second."""
PERSISTS = 4.0
"""Seconds of dropping after which it is not a passing load."""
NEAR = 0.7
"""Of the time that a picture may take: a mean above it is too near to the limit."""
RELAXED = 0.5
"""Of the same time: only a mean below it leaves room for a trial."""
QUEUEING = 2.0
"""Pictures of one camera on their way at once, from which on they wait for each other (their rate times the time that
each takes). Below it the time is spent on each single picture, and fewer pictures would not make it shorter."""
MARGIN = 0.9
"""Of the pictures that come out, so many are let in: whoever lets in as many as come out keeps the queues full."""
FIRST_STEP, LATER_STEP = 1.25, 1.5
"""How much faster the first trial is, and those that follow one which succeeded."""
FIRST_PAUSE, LONGEST_PAUSE = 4.0, 32.0
"""Seconds from a change for the worse to the next trial; doubled by each one that fails, and up to twice as long in
some cameras."""
RELAPSE = 60.0
"""Seconds: an overload that comes back sooner is the same one, and keeps its pause."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """Counters at one moment; two of them make a window."""

    at: float
    offered: int = 0
    thinned: int = 0
    dropped: int = 0
    shown: int = 0
    took: float = 0.0
    late: int = 0


class Ladder:
    """One camera's rung. `lets_in` belongs to the capture thread, everything else to the event loop.

    `limit`: seconds from capture to sealing; `delay`: those of them that every picture waits by design. `camera`: its
    name decides how much longer than others it pauses before a trial, up to twice as long. Cameras that share a
    detector are overloaded together, and if they all tried together, no trial could succeed.
    """

    def __init__(self, limit: float, *, delay: float = 0.0, camera: str = "") -> None:
        if not 0.0 <= delay < limit:
            raise ValueError(f"a delay of {delay:g} s leaves nothing of a limit of {limit:g} s")
        self.limit = limit
        self.state = OverloadState.NONE
        self.rate = math.inf
        """Pictures a second that are let in."""
        self._delay = delay
        self._patience = 1.0 + zlib.crc32(camera.encode()) / 2**32
        self._spacing = Spacing()
        self._offered = 0
        self._thinned = 0
        self._shown = 0
        self._took = 0.0
        self._late = 0
        self._mark: _Mark | None = None
        self._since = 0.0
        self._dropping_since: _Mark | None = None
        self._borne = math.inf
        self._step = FIRST_STEP
        self._pause = FIRST_PAUSE
        self._trial_at = 0.0
        self._over_at = -math.inf

    @property
    def _room(self) -> float:
        """Seconds that a picture may take, besides the delay."""
        return self.limit - self._delay

    @property
    def slowest(self) -> float:
        """The lowest rate: one picture in the time that it may take. With fewer, none would be sooner."""
        return 1.0 / self._room

    # What happens to pictures

    def lets_in(self, captured: float) -> bool:
        """Whether this picture goes on to the mailbox."""
        self._offered += 1
        rate = self.rate
        if rate == math.inf or self._spacing.keeps(captured, rate):
            return True
        self._thinned += 1
        return False

    def shown(self, age: float) -> None:
        """A picture went out with its verdict, so many seconds after its capture."""
        self._shown += 1
        self._took += max(0.0, age - self._delay)

    def late(self) -> None:
        """A picture was concealed, because there was no verdict on it in time or it was too old to be shown."""
        self._late += 1

    # What follows from it

    def reset(self) -> None:
        """The camera begins anew."""
        self.rate = self._borne = math.inf
        self._mark = None
        self._enter(OverloadState.NONE, 0.0)

    def look(self, now: float, dropped: int) -> None:
        """Judges; to be called every LOOK_EVERY. `dropped`: pictures so far that were let in and left out again."""
        here = _Mark(now, self._offered, self._thinned, dropped, self._shown, self._took, self._late)
        since = self._mark
        if since is None:
            self._mark = here
        elif here.late > since.late and self.state is not OverloadState.CONCEALING:
            self._mark = here
            if self.state is OverloadState.REDUCED:
                self._wait_longer(now)
            self._enter(OverloadState.CONCEALING, now)
        elif self._enough(since, here):
            self._mark = here
            self._judge(_Window(since, here))

    def _enough(self, since: _Mark, here: _Mark) -> bool:
        """Whether enough has happened for a judgement."""
        seconds, came = here.at - since.at, here.shown - since.shown + here.dropped - since.dropped
        if seconds < WINDOW or here.offered == since.offered:
            return False
        return self.state is not OverloadState.REDUCED or came >= EVIDENCE or seconds >= LONGEST_WINDOW

    def _judge(self, window: _Window) -> None:
        if self.state is OverloadState.CONCEALING:
            self._linger(window)
        elif self.state is OverloadState.REDUCED:
            self._regulate(window)
        elif self._near(window) or (window.drops(DROP_SHARE) and self._persists(window.now)):
            self._slow_down(window if self._dropping_since is None else _Window(self._dropping_since, window.end))
            self._reduce(window.now)
        elif window.drops(DROP_SHARE) and window.dropped >= FEWEST_DROPS:
            if self.state is OverloadState.NONE:
                self._dropping_since = window.end
                self._enter(OverloadState.DROPPING, window.now)
        elif self.state is OverloadState.DROPPING and not window.drops(CALM_SHARE):
            self._enter(OverloadState.NONE, window.now)

    def _persists(self, now: float) -> bool:
        return self.state is OverloadState.DROPPING and now - self._since >= PERSISTS

    def _near(self, window: _Window) -> bool:
        """Pictures wait for each other, and nearly too long."""
        return window.mean >= NEAR * self._room and window.rate * window.mean >= QUEUEING

    def _linger(self, window: _Window) -> None:
        """Concealing: for as long as pictures are late, and a while after the last one.

        The rate falls only now, not with the first late picture: a single hiccup says nothing about what is borne.
        """
        if window.late:
            self._since = window.now
            self._slow_down(window)
        elif window.shown and window.now - self._since >= PERSISTS:
            self._borne = min(self.rate, max(self.slowest, MARGIN * window.rate))
            self._reduce(window.now)

    def _reduce(self, now: float) -> None:
        if now - self._over_at >= RELAPSE:
            self._pause = FIRST_PAUSE
        self._enter(OverloadState.REDUCED, now)
        self._step = FIRST_STEP
        self._trial_at = now + self._pause * self._patience

    def _regulate(self, window: _Window) -> None:
        """Reduced: slower when even this is too much, faster on trial."""
        trial = self._borne < self.rate
        if window.drops(CALM_SHARE) or self._near(window) or (trial and window.mean >= NEAR * self._room):
            if not trial:
                self._slow_down(window)
            self._wait_longer(window.now)
        elif not window.shown:
            return  # nothing speaks for a faster rate
        elif self.rate == math.inf:
            self._over_at = window.now
            self._enter(OverloadState.NONE, window.now)
        else:
            if trial:
                self._borne, self._step = self.rate, LATER_STEP
            if window.now >= self._trial_at and window.mean < RELAXED * self._room:
                faster = self.rate * self._step
                self.rate = math.inf if faster >= window.offered_rate else faster

    def _slow_down(self, window: _Window) -> None:
        self.rate = self._borne = max(self.slowest, MARGIN * min(self.rate, window.rate))

    def _wait_longer(self, now: float) -> None:
        """This rate is too much: back to the last one that was borne, and a longer pause before the next trial."""
        self.rate = self._borne
        self._pause, self._step = min(LONGEST_PAUSE, 2 * self._pause), FIRST_STEP
        self._trial_at = now + self._pause * self._patience

    def _enter(self, state: OverloadState, now: float) -> None:
        self.state, self._since = state, now
        if state is not OverloadState.DROPPING:
            self._dropping_since = None


class _Window:
    """What happened between two marks."""

    def __init__(self, begin: _Mark, end: _Mark) -> None:
        self.now, self.end = end.at, end
        self.late = end.late - begin.late
        self.shown = end.shown - begin.shown
        self.dropped = end.dropped - begin.dropped
        seconds = max(end.at - begin.at, LOOK_EVERY)
        offered = end.offered - begin.offered
        self._let_in = offered - (end.thinned - begin.thinned)
        self.offered_rate = offered / seconds
        # One picture less than were counted: with few of them a window may hold one more than its share.
        self.rate = max(0, self.shown - 1) / seconds
        self.mean = (end.took - begin.took) / self.shown if self.shown else 0.0

    def drops(self, share: float) -> bool:
        """Whether more than such a share of the pictures that were let in was dropped."""
        return self.dropped > share * self._let_in
