"""One detector for all cameras: frames come from tasks, go through one thread in batches, and the answers come back.

Rule: work-conserving. As soon as the thread is idle it takes what waits, in an order that is fair in time (`policy`)
and not more than it can do until the cameras' next pictures (`pace`); nothing waits for a batch to fill. Every waiter
gets an answer or a DetectionError within the timeout, even when the detector hangs, and an answer only from a batch
whose canary was found (`canary`).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from faceanond.clock import Clock
from faceanond.config.model import DetectOptions
from faceanond.detect.cost import cost
from faceanond.detect.protocol import TOO_MANY, Detector, DetectRequest, DeviceLostError
from faceanond.errors import STOPPED, DetectionError
from faceanond.frames import Detections, Expected, RawFrame
from faceanond.inference.canary import LIMIT, REASON, Canary, Outcome
from faceanond.inference.pace import Pace
from faceanond.inference.policy import WaitingFrames
from faceanond.inference.worker import infer
from faceanond.stats import SECONDS, Histogram
from faceanond.status import InferenceStatus

log = structlog.get_logger(__name__)

BROKEN_AFTER = 20
"""Batches in a row without a single answer, after which only a restart can help."""
MOST_WAITING = 1024
"""Frames (one a camera) that may wait; far beyond what one process can serve in time."""
PATIENCE = 0.5
"""Of the timeout: who has waited for longer goes first. A frame that times out is concealed, so a camera whose turn
comes rarely must come before that, and half of the time is left for those who waited longer still."""
GRACE = 1.0
"""Seconds that the end waits for the running batch. A hung thread is left behind: it is a daemon thread."""
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(slots=True, eq=False)
class _Waiter:
    request: DetectRequest
    answer: asyncio.Future[Detections]
    since: float
    cost: int

    @property
    def camera(self) -> str:
        return self.request.frame.id.camera

    def wanted(self) -> bool:
        """Somebody still waits. Safe to ask from the inference thread: at worst the answer is then thrown away."""
        return not self.answer.done()

    def fail(self, reason: str, message: str) -> None:
        _fail(self.answer, reason, message)


@dataclass(slots=True)
class _Shared:
    """What the loop and the inference thread both touch, under `changed`."""

    waiting: WaitingFrames[_Waiter]
    changed: threading.Condition = field(default_factory=threading.Condition)
    stopped: bool = False


class Batcher:
    """The shared queue in front of a detector, which it uses but does not close. Made and used on one event loop."""

    def __init__(self, detector: Detector, *, max_batch: int, timeout: float, clock: Clock) -> None:
        """`timeout`: seconds on the clock after which a waiter gives up."""
        self._detector = detector
        self._max_batch = max_batch
        self._timeout = timeout
        self._clock = clock
        self._shared = _Shared(WaitingFrames(patience=PATIENCE * timeout))
        self._pace = Pace()
        self._canary = Canary(detector.provider, clock)
        # Only the answers: a waiter would keep its frame, and with it the decoder's memory, until the deadline.
        self._deadlines: deque[tuple[float, asyncio.Future[Detections]]] = deque()
        self._added = asyncio.Event()
        self._started = False
        self._waits = Histogram(*SECONDS)
        self._sizes = Histogram(*_BATCH_SIZES)
        self._failures = 0

    async def run(self) -> None:
        """Serves until cancelled, once. Ends with DetectionError when the detector is broken for good.

        On the way out every waiter gets DetectionError("stopped"), and the thread has ended (unless it hangs).
        """
        if self._started:
            raise RuntimeError("a batcher runs once")
        self._started = True
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[DetectionError] = loop.create_future()
        ended = asyncio.Event()
        thread = threading.Thread(target=self._serve, args=(loop, broken, ended), name="inference", daemon=True)
        thread.start()
        try:
            async with asyncio.TaskGroup() as group:
                expiry = group.create_task(self._expire(), name="inference timeouts")
                error = await broken
                expiry.cancel()
            raise error
        finally:
            self._stop()
            try:
                async with asyncio.timeout(GRACE):
                    await ended.wait()
            except TimeoutError:
                log.warning("inference thread left behind", reason="the detector did not return", seconds=GRACE)

    async def detect(
        self, frame: RawFrame, options: DetectOptions, expected: tuple[Expected, ...] | None = None
    ) -> Detections:
        """The faces of this very frame. `expected`: see `DetectRequest`.

        Raises DetectionError with the reason "timeout", "superseded" (a newer frame of the same camera came),
        "stopped" (the batcher ended or the camera was forgotten), "overload", "canary" (the batch is not believed), or
        the detector's own: "nan", "shape", "detector_failed", "too_many_faces", "closed".
        """
        answer: asyncio.Future[Detections] = asyncio.get_running_loop().create_future()
        request = DetectRequest(frame, options, expected)
        waiter = _Waiter(request, answer, self._clock.monotonic(), cost(frame.size, options))
        shared = self._shared
        with shared.changed:
            if shared.stopped:
                raise DetectionError(STOPPED, "the detector has been stopped")
            if len(shared.waiting) >= MOST_WAITING:
                raise DetectionError("overload", f"{MOST_WAITING} cameras wait for the detector already")
            older = shared.waiting.put(waiter.camera, waiter, cost=waiter.cost, now=waiter.since)
            shared.changed.notify()
        if older is not None:
            older.fail("superseded", "a newer frame of this camera came before the detector was free")
        self._deadlines.append((waiter.since + self._timeout, answer))
        self._added.set()
        try:
            return await answer
        finally:
            with shared.changed:
                shared.waiting.discard(waiter.camera, waiter)

    def forget(self, camera: str) -> None:
        """Takes a stopped camera's frame out of the queue; its waiter gets DetectionError("stopped")."""
        with self._shared.changed:
            waiter = self._shared.waiting.remove(camera)
        if waiter is not None:
            waiter.fail(STOPPED, "the camera was stopped")

    def statistics(self) -> InferenceStatus:
        """How the queue stands. `failures` counts frames without an answer, `canary_failures` batches not believed."""
        with self._shared.changed:
            waiting = len(self._shared.waiting)
        return InferenceStatus(
            detector=self._detector.name,
            provider=self._detector.provider,
            queue_length=waiting,
            queue_wait=self._waits.snapshot(),
            batch_size=self._sizes.snapshot(),
            stages=self._detector.stage_seconds(),
            failures=self._failures,
            canary_failures=self._canary.failures,
        )

    async def _expire(self) -> None:
        """Lets waiters go when their time is over. The timeout is one for all, so the oldest is always the first."""
        while True:
            await self._added.wait()
            while self._deadlines:
                deadline, answer = self._deadlines[0]
                if not answer.done():
                    await self._clock.sleep(deadline - self._clock.monotonic())
                    _fail(answer, "timeout", f"the detector gave no answer within {self._timeout:g} s")
                self._deadlines.popleft()  # only now: what is still listed is what `_stop` lets go
            self._added.clear()

    def _came_round(self, batches: int) -> None:
        with self._shared.changed:
            self._shared.waiting.came_round(batches)
            self._shared.changed.notify()

    def _stop(self) -> None:
        with self._shared.changed:
            self._shared.stopped = True
            left = self._shared.waiting.clear()
            self._shared.changed.notify_all()
        for answer in (*(waiter.answer for waiter in left), *(answer for _, answer in self._deadlines)):
            _fail(answer, STOPPED, "the detector has been stopped")

    # In the inference thread, from here on.

    def _serve(
        self, loop: asyncio.AbstractEventLoop, broken: asyncio.Future[DetectionError], ended: asyncio.Event
    ) -> None:
        try:
            error: DetectionError | None = self._serve_batches(loop)
        except Exception as failure:  # noqa: BLE001 - this thread must never end without the process knowing
            error = DetectionError(
                "detector_failed", f"the inference thread failed: {type(failure).__name__}: {failure}"
            )
        try:
            if error is not None:
                loop.call_soon_threadsafe(_resolve, broken, error)
            loop.call_soon_threadsafe(ended.set)
        except RuntimeError:
            return  # the loop has ended while a detector hung; nobody listens any more

    def _serve_batches(self, loop: asyncio.AbstractEventLoop) -> DetectionError | None:
        """Works until stopped (None) or broken (why)."""
        failed_in_a_row = 0
        while batch := self._next_batch():
            started = self._clock.monotonic()
            try:
                outcomes = infer(self._detector, [waiter.request for waiter in batch], self._canary)
            except DeviceLostError as error:
                return error
            errors = [outcome for outcome in outcomes if isinstance(outcome, DetectionError)]
            self._failures += len(errors)
            unwell = [error for error in errors if error.reason != TOO_MANY]
            if not unwell:  # else frames were tried more than once, or not to the end
                self._pace.note(sum(waiter.cost for waiter in batch), self._clock.monotonic() - started)
            failed_in_a_row = failed_in_a_row + 1 if len(unwell) == len(outcomes) else 0
            # Counted here: by the time of the delivery another batch may have been taken.
            came_round = partial(self._came_round, self._shared.waiting.batches)
            loop.call_soon_threadsafe(_deliver, loop, batch, outcomes, came_round)
            if self._canary.missed_in_a_row >= LIMIT:
                return DetectionError(
                    REASON, f"the detector missed the known face {LIMIT} times; the last: {errors[-1]}"
                )
            if failed_in_a_row >= BROKEN_AFTER:
                return DetectionError(
                    "detector_failed", f"the detector failed {failed_in_a_row} batches in a row; the last: {errors[-1]}"
                )
        return None

    def _next_batch(self) -> list[_Waiter]:
        """Blocks for the next batch; an empty one means the end."""
        shared = self._shared
        with shared.changed:
            while not shared.stopped:
                now = self._clock.monotonic()
                batch = shared.waiting.take(self._max_batch, budget=self._pace.budget, now=now, wanted=_Waiter.wanted)
                if batch:
                    break
                shared.changed.wait()
            else:
                return []
        self._sizes.observe(len(batch))
        for waiter in batch:
            self._waits.observe(now - waiter.since)
        return batch


def _fail(answer: asyncio.Future[Detections], reason: str, message: str) -> None:
    if not answer.done():
        answer.set_exception(DetectionError(reason, message))


def _deliver(
    loop: asyncio.AbstractEventLoop,
    batch: Sequence[_Waiter],
    outcomes: Sequence[Outcome],
    came_round: Callable[[], None],
) -> None:
    for waiter, outcome in zip(batch, outcomes, strict=True):
        if waiter.answer.done():
            continue
        if isinstance(outcome, DetectionError):
            waiter.answer.set_exception(outcome)
        else:
            waiter.answer.set_result(outcome)
    # After the tasks that these answers wake, of which each puts its next frame if it has one.
    loop.call_soon(came_round)


def _resolve(broken: asyncio.Future[DetectionError], error: DetectionError) -> None:
    if not broken.done():
        broken.set_result(error)
