"""Notices what must not happen: exceptions that nobody caught, errors in the log, a loop that stands still.

A defect is told once: by what it says and where it was raised, not by its input. The inputs just before it are kept.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

STANDSTILL = 5.0
"""Seconds without a turn of the event loop, less those in which this process was ready and other processes ran."""
SLOW = frozenset({"health probe failed", "tracking failed"})
"""Errors that tell of a machine which is too slow for its cameras: not of an input, and likely beside other work."""
RECENT = 24
"""Inputs kept: what goes wrong behind a queue or a timer shows only some inputs later."""


@dataclass
class Defect:
    """Something that must not happen; `recent` are the inputs before it, the newest last."""

    what: str
    detail: str
    recent: list[tuple[str, bytes]] = field(repr=False)
    times: int = 1


class Watch:
    """Collects defects while `watching`. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self.defects: dict[str, Defect] = {}
        self._recent: deque[tuple[str, bytes]] = deque(maxlen=RECENT)
        self._beat = time.monotonic()
        self._done = threading.Event()

    def begin(self, target: str, data: bytes) -> None:
        """The next input is about to be tried."""
        self._recent.append((target, data))

    def found(self, what: str, detail: str) -> None:
        """Notes a defect; one of the same kind is only counted."""
        kind = f"{what}: {_place(detail)}"
        if kind in self.defects:
            self.defects[kind].times += 1
            return
        self.defects[kind] = Defect(what, detail, list(self._recent))
        print(f"DEFECT {kind}", file=sys.stderr, flush=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listens to the log, to warnings and to the loop's pulse. Enter it on the event loop."""
        handler = _Handler(self)
        root = logging.getLogger()
        root.addHandler(handler)
        before = structlog.get_config()
        structlog.configure(processors=[self._event], cache_logger_on_first_use=False)
        shown = warnings.showwarning
        warnings.showwarning = self._warned  # type: ignore[assignment]
        warnings.simplefilter("always", ResourceWarning)
        main = threading.get_ident()
        watcher = threading.Thread(target=self._standstill, args=(main,), name="standstill", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            self._done.set()
            watcher.join()
            root.removeHandler(handler)
            structlog.configure(**before)
            warnings.showwarning = shown

    async def pulse(self) -> None:
        """Keeps telling that the loop turns, until cancelled."""
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(0.1)

    def _standstill(self, main: int) -> None:
        beat, passed_over = self._beat, _passed_over()
        while not self._done.wait(0.5):
            if self._beat != beat:
                beat, passed_over = self._beat, _passed_over()
            elif time.monotonic() - beat - (_passed_over() - passed_over) > STANDSTILL:
                frame = sys._current_frames().get(main)
                self.found("the event loop stands still", "".join(traceback.format_stack(frame)))
                self._beat = time.monotonic()

    def _event(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        """structlog's processor: an error is a defect, and nothing is printed."""
        if (method in ("error", "exception", "critical") or event.get("exc_info")) and event.get("event") not in SLOW:
            error = event.get("exc_info")
            error = sys.exc_info()[1] if error is True else error
            detail = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else ""
            self.found(f"logged: {event.get('event')}", f"{event}\n{detail}")
        raise structlog.DropEvent

    def _warned(self, message: Warning, category: type[Warning], *place: Any) -> None:
        if issubclass(category, ResourceWarning | RuntimeWarning):
            self.found(f"warning: {category.__name__}", str(message))


class _Handler(logging.Handler):
    """The libraries' own log: an error, or anything with a traceback, is a defect."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.WARNING)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info))
        if record.levelno >= logging.ERROR or "Traceback" in text:
            self._watch.found(f"logged by {record.name}", text)


def _passed_over() -> float:
    """Seconds for which this process's threads, all together, were ready and had to wait for a core."""
    total = 0
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # threads end
            total += int((task / "schedstat").read_text().split()[1])
    return total / 1e9


def _place(detail: str) -> str:
    """Where it was raised and what: the innermost line of a traceback, or the text itself without its numbers."""
    lines = re.findall(r'File "(?:.*/)?([^"/]+/[^"/]+)", line (\d+)', detail)
    last = detail.strip().splitlines()[-1] if detail.strip() else ""
    where = ":".join(lines[-1]) + " " if lines else ""
    return where + re.sub(r"0x[0-9a-f]+|\d+", "#", last)[:160]
