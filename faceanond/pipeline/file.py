"""A file through the same stages as a camera, but every frame: nothing is dropped, and nobody waits for a clock.

Decoding, detecting, and sealing with encoding run in three threads; bounded hand-overs between them let each work on
a different frame.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.capture.source import Source
from faceanond.config.model import DetectOptions, Track
from faceanond.errors import SourceError, UnavailableError
from faceanond.frames import Detections, RawFrame, Verdict
from faceanond.pipeline.follow import Follower
from faceanond.pipeline.judge import DetectsFaces, Judged, seal_judged

AHEAD = 8
"""Frames that may wait between two stages: enough that a slow one does not starve the next."""


class WritesFrames(Protocol):
    """Where the anonymised pictures go."""

    def write(self, frame: AnonymisedFrame) -> None:
        """Blocking."""
        ...


@dataclass(slots=True)
class Tally:
    """What became of the frames."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    faces: int = 0
    broken: SourceError | None = None

    @property
    def frames(self) -> int:
        return self.verdicts.total()


class Report:
    """One JSON line per frame: what was decided and what was really covered. Closed by its context."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file: TextIO = path.open("w", encoding="utf-8")
        except OSError as error:
            raise self._failed(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as failure:
            if error is None:
                raise self._failed(failure) from None

    def write(self, number: int, frame: AnonymisedFrame) -> None:
        """Notes one published frame; boxes are in pixels of the input. Raises UnavailableError, on a full disk say."""
        line: dict[str, object] = {"frame": number, "pts": round(frame.pts, 6), "verdict": frame.verdict.value}
        if frame.reason is not None:
            line["reason"] = frame.reason
        line["regions"] = [
            {
                "box": [round(value, 2) for value in (region.box.x1, region.box.y1, region.box.x2, region.box.y2)],
                "track": region.track,
                "score": None if region.score is None else round(region.score, 4),
                "kind": region.kind.value,
            }
            for region in frame.regions
        ]
        try:
            self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> UnavailableError:
        return UnavailableError(f"{self._path}: the report cannot be written: {error.strerror}")


class FilePipeline:
    """The stages of one file. The caller opens the source before and closes it, the writer and the report after."""

    def __init__(
        self,
        *,
        source: Source,
        detector: DetectsFaces,
        options: DetectOptions,
        track: Track,
        anonymiser: Anonymiser,
        writer: WritesFrames,
        report: Report | None = None,
        progress: Callable[[Tally], None] = lambda tally: None,
    ) -> None:
        self._source = source
        self._follower = Follower("file", detector, options, track)
        self._anonymiser = anonymiser
        self._writer = writer
        self._report = report
        self._progress = progress
        self.tally = Tally()

    async def run(self) -> Tally:
        """Every frame from first to last. Raises what the writer raises; `tally.broken` is what ended the source."""
        decoded: asyncio.Queue[RawFrame | None] = asyncio.Queue(AHEAD)
        judged: asyncio.Queue[Judged | None] = asyncio.Queue(AHEAD)
        with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "seal") as sealer:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._read(reader, decoded), name="read")
                    tasks.create_task(self._detect(decoded, judged), name="detect")
                    tasks.create_task(self._seal(sealer, judged), name="seal")
            finally:
                self._follower.close()
                self._source.interrupt()
        return self.tally

    async def _read(self, thread: ThreadPoolExecutor, decoded: asyncio.Queue[RawFrame | None]) -> None:
        loop = asyncio.get_running_loop()
        try:
            while (frame := await loop.run_in_executor(thread, self._source.read)) is not None:
                await decoded.put(frame)
        except SourceError as error:
            # What was read before is still worth having: it is finished first, then the error is reported.
            self.tally.broken = error
        await decoded.put(None)

    async def _detect(self, decoded: asyncio.Queue[RawFrame | None], judged: asyncio.Queue[Judged | None]) -> None:
        while (frame := await decoded.get()) is not None:
            stopped = await self._follower.judge(frame)
            while (due := self._follower.take()) is not None:
                await judged.put(due)
            if stopped is not None:
                while (earlier := self._follower.take(all_of_them=True)) is not None:
                    await judged.put(earlier)
                await judged.put(stopped)
        while (left := self._follower.take(all_of_them=True)) is not None:
            await judged.put(left)
        await judged.put(None)

    async def _seal(self, thread: ThreadPoolExecutor, judged: asyncio.Queue[Judged | None]) -> None:
        loop = asyncio.get_running_loop()
        while (item := await judged.get()) is not None:
            frame = await loop.run_in_executor(thread, self._seal_one, item)
            if isinstance(item.outcome, Detections):
                self.tally.faces += sum(not face.coasted for face in item.outcome.faces)
            self.tally.verdicts[frame.verdict] += 1
            if frame.reason is not None:
                self.tally.reasons[frame.reason] += 1
            self._progress(self.tally)

    def _seal_one(self, item: Judged) -> AnonymisedFrame:
        frame = seal_judged(self._anonymiser, item)
        self._writer.write(frame)
        if self._report is not None:
            self._report.write(item.frame.id.index, frame)
        return frame
