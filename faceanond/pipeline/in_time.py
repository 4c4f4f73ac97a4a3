"""No picture is shown later than the limit: two places where a picture may turn out to be too old.

Before its verdict: the detector's answer is not waited for any longer (`InTime`). After it, when its sealing begins:
it is concealed (`unless_late`). Both times it becomes a concealed picture with the reason `overload`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.clock import Clock
from faceanond.config.model import DetectOptions
from faceanond.errors import DetectionError
from faceanond.frames import Detections, Expected, RawFrame
from faceanond.pipeline.judge import DetectsFaces

OVERLOAD = "overload"
"""The reason of a picture that is concealed because it grew too old."""
LATE = (OVERLOAD, "timeout")
"""The reasons of pictures that are concealed because there was no verdict in time: by their age, or by
`detector.timeout` where that is shorter."""
FRESH = 0.15
"""Of the limit: a younger picture has waited for no longer than for the next one."""
NEWEST = 0.25
"""Weight of the newest answer in the mean of how long they take."""


class InTime:
    """A detector for one camera that gives up on a picture `limit` seconds after its capture.

    `watch` must run meanwhile. One task looks at the clock for all pictures, about once in a limit: a timer for each
    picture would cost more than the rest of the hand-over.
    """

    def __init__(self, detector: DetectsFaces, limit: float, *, clock: Clock) -> None:
        self._detector = detector
        self._limit = limit
        self._clock = clock
        self._asked = asyncio.Event()
        self._asking: tuple[float, asyncio.Timeout] | None = None
        self._takes = 0.0

    def too_old(self, frame: RawFrame) -> bool:
        """The detector would hardly answer in time for this picture, and can for the next one.

        It is better left out than concealed after a wait. A fresh picture is never too old, however long the detector
        takes: somebody has to find out when that is over.
        """
        age = self._clock.monotonic() - frame.captured
        return age > FRESH * self._limit and age + self._takes >= self._limit

    async def detect(
        self, frame: RawFrame, options: DetectOptions, expected: tuple[Expected, ...] | None = None
    ) -> Detections:
        """As the detector's, one picture at a time; DetectionError(OVERLOAD) when the picture is too old."""
        began = self._clock.monotonic()
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._asking = frame.captured + self._limit, scope
                self._asked.set()
                return await self._detector.detect(frame, options, expected)
        except TimeoutError:
            if not scope.expired():
                raise
            message = f"there was no verdict within {self._limit:g} s of its capture"
            raise DetectionError(OVERLOAD, message) from None
        finally:
            self._asking = None
            self._takes += NEWEST * (self._clock.monotonic() - began - self._takes)

    async def watch(self) -> None:
        """Ends what takes too long, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._asking is not None:
                deadline, scope = self._asking
                left = deadline - self._clock.monotonic()
                if left > 0:
                    await self._clock.sleep(left)
                else:
                    self._asking = None
                    scope.reschedule(0.0)


def unless_late(
    make: Callable[[Anonymiser], AnonymisedFrame], frame: RawFrame, limit: float, clock: Clock
) -> Callable[[Anonymiser], AnonymisedFrame]:
    """The same for the sealing thread, or the picture concealed if it is older than `limit` when its turn comes."""

    def sealed(anonymiser: Anonymiser) -> AnonymisedFrame:
        if clock.monotonic() - frame.captured > limit:
            return anonymiser.conceal(frame, OVERLOAD)
        return make(anonymiser)

    return sealed
