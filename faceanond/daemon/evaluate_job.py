"""`faceanond evaluate`: a labelled clip through the stages of `anonymise`, with a judge where the encoder stood."""

from __future__ import annotations

import hashlib
import time
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.capture.source import Source, StreamInfo
from faceanond.clock import Clock
from faceanond.config.model import Config
from faceanond.daemon.file_job import file_source, open_source
from faceanond.errors import SourceError, SourceFault, UnavailableError, UsageError
from faceanond.evaluate.judge import Judge
from faceanond.evaluate.tally import Tally
from faceanond.evaluate.truth import ClipFacts, Truth
from faceanond.frames import RawFrame
from faceanond.pipeline.file import FilePipeline
from faceanond.pipeline.judge import DetectsFaces


@dataclass(frozen=True, slots=True)
class Survey:
    """What was learnt of a clip by reading it once. `cpu` is processor seconds of decoding, by all threads."""

    facts: ClipFacts
    cpu: float

    def decoding(self, frames: int) -> float:
        """Processor seconds of decoding so many frames."""
        return self.cpu * frames / max(1, self.facts.frames)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was counted, and what it cost for a frame in milliseconds: processor time of the pipeline's own work, and
    time that passed, in which the judge worked as well."""

    tally: Tally
    cpu_ms: float
    wall_ms: float
    broken: SourceError | None


def survey(clip: Path, config: Config, *, clock: Clock) -> Survey:
    """Reads a clip to its end. Blocking. Raises UnavailableError or UsageError.

    It tells how many frames there are (a container only estimates), and what the judge's decoding will cost.
    """
    if not clip.is_file():
        raise UnavailableError(f"{clip}: " + ("is a directory" if clip.is_dir() else "there is no such file"))
    try:
        with clip.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UnavailableError(f"{clip}: cannot be read: {error.strerror}") from None
    with closing(file_source(clip, config, clock=clock)) as source:
        started = time.process_time()
        try:
            info = source.open()
        except SourceError as error:
            kind = UnavailableError if error.fault is SourceFault.NOT_FOUND else UsageError
            raise kind(str(error)) from None
        width, height, frames = info.width, info.height, 0
        try:
            while (frame := source.read()) is not None:
                width, height = frame.size
                frames += 1
        except SourceError:
            pass  # the pipeline meets the same error, and the caller hears of it then
        return Survey(ClipFacts(digest, width, height, frames), time.process_time() - started)


async def evaluate_clip(
    clip: Path, truth: Truth, looked: Survey, config: Config, detector: DetectsFaces, *, clock: Clock
) -> Evaluation:
    """The labelled frames of a clip through the pipeline. Raises FaceanondError."""
    async with AsyncExitStack() as stack:
        source, again = (file_source(clip, config, clock=clock) for _ in range(2))
        await open_source(stack, source)
        await open_source(stack, again)
        judge = Judge(truth, again.read, margin=config.anonymise.margin)
        pipeline = FilePipeline(
            source=FirstFrames(source, truth.frames),
            detector=detector,
            options=config.detector,
            anonymiser=Anonymiser("file", config.anonymise, clock=clock),
            writer=judge,
        )
        cpu, wall = time.process_time(), time.perf_counter()
        tally = await pipeline.run()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    frames = max(1, judge.tally.frames)
    own = max(0.0, cpu - judge.cpu - looked.decoding(judge.tally.frames))
    return Evaluation(judge.tally, 1000 * own / frames, 1000 * wall / frames, tally.broken)


class FirstFrames:
    """A source that ends after so many pictures: what comes behind the labels cannot be judged."""

    def __init__(self, source: Source, frames: int) -> None:
        self._source = source
        self._left = frames

    def open(self) -> StreamInfo:
        return self._source.open()

    def read(self) -> RawFrame | None:
        if self._left <= 0:
            return None
        self._left -= 1
        return self._source.read()

    def interrupt(self) -> None:
        self._source.interrupt()

    def close(self) -> None:
        self._source.close()
