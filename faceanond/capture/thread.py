"""One attempt at one source, in a thread of its own that can hang without anybody else noticing.

FFmpeg and drivers block, sometimes for ever. So each attempt has a named daemon thread, and the event loop only
watches how long it has been silent. A thread that does not come back is abandoned: it can deliver nothing any more,
it is counted, and a camera that has too many of them gets no further one.
"""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Callable

import structlog

from faceanond.capture.source import Source, StreamInfo
from faceanond.clock import Clock
from faceanond.errors import SourceError, SourceFault
from faceanond.frames import RawFrame
from faceanond.redact import redact

log = structlog.get_logger(__name__)

GRACE = 2.0
"""Seconds that an interrupted thread gets to end: closing a connection takes a round trip."""
MAX_ABANDONED = 2
"""Abandoned threads that one camera may have: a hostile camera that holds on to them cannot pile them up."""

_abandoned: dict[threading.Thread, str] = {}


def abandoned(camera: str | None = None) -> int:
    """How many threads hang in a source that has been given up, of one camera or of all. They may still end."""
    for thread in [thread for thread in tuple(_abandoned) if not thread.is_alive()]:
        _abandoned.pop(thread, None)
    return sum(camera in (None, owner) for owner in _abandoned.values())


def abandon(thread: threading.Thread, camera: str) -> None:
    """Gives a thread up: it is counted until it ends."""
    _abandoned[thread] = camera
    log.warning("capture thread abandoned", camera=camera, abandoned=abandoned())


def refuse_if_hanging(camera: str) -> None:
    """Raises SourceError when too many threads of this camera hang already."""
    hanging = abandoned(camera)
    if hanging >= MAX_ABANDONED:
        raise SourceError(
            SourceFault.STALLED, f"{hanging} earlier connections to this camera still hang; waiting for them to end"
        )


async def capture(
    source: Source,
    deliver: Callable[[RawFrame], object],
    *,
    camera: str,
    timeout: float,
    clock: Clock,
    on_open: Callable[[StreamInfo], None],
) -> None:
    """Opens the source and delivers its pictures until it ends; then raises SourceError, with ENDED at its end.

    `deliver` is called from the thread and may block (a mailbox that must lose nothing): only the time spent inside
    the source counts against `timeout` (seconds). `on_open` is called on the loop, before the first picture is
    delivered. When the source is silent for too long, or this coroutine is cancelled, the source is interrupted and
    its thread gets GRACE seconds to close it; after that it is abandoned. Whoever cancels while `deliver` may block
    must make it return (close the mailbox).
    """
    refuse_if_hanging(camera)
    attempt = _Attempt(source, deliver, camera, clock)
    attempt.start()
    fault: SourceFault | None = None
    try:
        while not attempt.finished and fault is None:
            await _within(attempt.changed, attempt.left(timeout), clock)
            attempt.changed.clear()
            info = attempt.take_info()
            if info is not None:
                on_open(info)
                attempt.go_on()
            elif attempt.left(timeout) <= 0:
                fault = attempt.fault_of_silence
    finally:
        await attempt.end()
    if attempt.failure is not None:
        raise attempt.failure
    if fault is not None:
        raise SourceError(fault, f"{_SILENCE[fault]} within {timeout:g} s")
    raise SourceError(SourceFault.ENDED, "the stream ended")


_SILENCE = {
    SourceFault.UNREACHABLE: "the source could not be opened",
    SourceFault.NO_FRAMES: "the source opened, but no picture came",
    SourceFault.STALLED: "no further picture came",
}


class _Attempt:
    """The thread and what the loop knows of it. Made and read on the loop; methods named `_run...` are the thread's."""

    def __init__(self, source: Source, deliver: Callable[[RawFrame], object], camera: str, clock: Clock) -> None:
        self._source = source
        self._deliver = deliver
        self._camera = camera
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name=f"capture:{camera}", daemon=True)
        self._may_deliver = threading.Event()
        self._given_up = False
        self._inside_since: float | None = None
        self._opened = False
        self._delivered = False
        self._info: StreamInfo | None = None
        self.changed = asyncio.Event()
        self.finished = False
        self.failure: SourceError | None = None

    def start(self) -> None:
        self._inside_since = self._clock.monotonic()
        self._thread.start()

    def take_info(self) -> StreamInfo | None:
        """What `open` returned; once."""
        info, self._info = self._info, None
        return info

    def go_on(self) -> None:
        """The opening has been told: pictures may follow."""
        self._may_deliver.set()

    def left(self, timeout: float) -> float:
        """Seconds until the source will have been silent for too long."""
        since = self._inside_since
        return timeout if since is None else timeout - (self._clock.monotonic() - since)

    @property
    def fault_of_silence(self) -> SourceFault:
        if not self._opened:
            return SourceFault.UNREACHABLE
        return SourceFault.STALLED if self._delivered else SourceFault.NO_FRAMES

    async def end(self) -> None:
        """Stops the thread, or abandons it. Cancellable; the thread is accounted for in any case."""
        self._given_up = True
        self._may_deliver.set()
        try:
            if not self.finished:
                # In a thread of its own: it looks through the process's sockets, and nothing here may block the loop.
                threading.Thread(target=self._source.interrupt, name=f"interrupt:{self._camera}", daemon=True).start()
                end = self._clock.monotonic() + GRACE
                while not self.finished:
                    left = end - self._clock.monotonic()
                    if left <= 0:
                        break
                    await _within(self.changed, left, self._clock)
                    self.changed.clear()
            # It has said that it is done: only its last instructions are left.
            while self.finished and self._thread.is_alive():  # noqa: ASYNC110  no event can tell of them
                await asyncio.sleep(0)
        finally:
            if not self.finished:
                abandon(self._thread, self._camera)

    def _run(self) -> None:
        try:
            self._run_source()
        except SourceError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001  the edge of the thread: nobody else would ever hear of it
            self.failure = _internal(error, self._camera)
        try:
            self._inside_since = self._clock.monotonic()
            self._source.close()
        except Exception as error:  # noqa: BLE001  as above
            self.failure = self.failure or _internal(error, self._camera)
        self._run_tell(self._note_end)

    def _run_source(self) -> None:
        info = self._source.open()
        self._inside_since = None
        self._run_tell(self._note_open, info)
        self._may_deliver.wait()
        while not self._given_up:
            self._inside_since = self._clock.monotonic()
            frame = self._source.read()
            self._inside_since = None
            if frame is None or self._given_up:
                return
            self._delivered = True
            self._deliver(frame)

    def _run_tell(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            # The loop has ended, so nobody waits any more.
            self._given_up = True
            self._may_deliver.set()

    def _note_open(self, info: StreamInfo) -> None:
        self._opened = True
        self._info = info
        self.changed.set()

    def _note_end(self) -> None:
        self.finished = True
        self.changed.set()


def _internal(error: Exception, camera: str) -> SourceError:
    """A mistake in our own code, not in the camera. The text may come from a library, so it is not trusted."""
    places = traceback.extract_tb(error.__traceback__)
    where = f"{places[-1].filename}:{places[-1].lineno}" if places else "unknown"
    log.error("capture failed", camera=camera, error=type(error).__name__, detail=redact(str(error)), where=where)
    return SourceError(SourceFault.INTERNAL, f"capture failed: {type(error).__name__}")


async def _within(event: asyncio.Event, seconds: float, clock: Clock) -> None:
    """Waits for the event, at most so long."""
    async with asyncio.TaskGroup() as group:
        waiting = [
            group.create_task(event.wait(), name="capture event"),
            group.create_task(clock.sleep(max(seconds, 0.0)), name="capture watchdog"),
        ]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
