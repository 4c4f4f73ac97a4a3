"""`faceanond evaluate`: a labelled clip through the stages of `anonymise`, with a judge where the encoder stood."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.capture.source import Source, StreamInfo
from faceanond.clock import Clock, SystemClock
from faceanond.config.model import Config
from faceanond.config.secrets import secret_values
from faceanond.daemon.detector import opened_detector
from faceanond.daemon.file_job import PATIENCE, file_source, open_source
from faceanond.daemon.run import first_error, leave_hanging_threads, prepare_process
from faceanond.errors import ExitCode, SourceError, SourceFault, UnavailableError, UsageError
from faceanond.evaluate.judge import Judge
from faceanond.evaluate.report import Result, as_json, as_text
from faceanond.evaluate.tally import Tally
from faceanond.evaluate.truth import ClipFacts, Truth, read_truth
from faceanond.frames import RawFrame
from faceanond.inference.batcher import Batcher
from faceanond.observe.logging import set_up_logging
from faceanond.pipeline.file import FilePipeline
from faceanond.pipeline.judge import DetectsFaces
from faceanond.pipeline.selftest import detector_answers


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


def run_evaluation(clip: Path, labels: Path, config: Config, *, json_output: Path | None = None) -> int:
    """Judges the configured pipeline on a labelled clip, prints the result and returns the exit code.

    Raises FaceanondError. With `json_output` the result is written there as well.
    """
    prepare_process()
    clock = SystemClock()
    with set_up_logging(config.log.model_copy(update={"level": "warning"}), secret_values(config)):
        _check_output(json_output, (clip, labels))
        looked = survey(clip, config, clock=clock)
        truth = read_truth(labels, looked.facts)
        try:
            done = asyncio.run(_evaluate(clip, truth, looked, config, clock))
        except BaseExceptionGroup as group:
            raise first_error(group) from None
    facts = looked.facts
    result = Result(
        clip=str(clip),
        sha256=facts.sha256,
        size=(facts.width, facts.height),
        truth=str(labels),
        settings={name: getattr(config, name).model_dump(mode="json") for name in ("detector", "track", "anonymise")},
        tally=done.tally,
        cpu_ms=done.cpu_ms,
        wall_ms=done.wall_ms,
    )
    print("\n".join(as_text(result)))
    if json_output is not None:
        try:
            json_output.write_text(json.dumps(as_json(result), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise UnavailableError(f"{json_output}: cannot be written: {error.strerror}") from None
    leave_hanging_threads(ExitCode.OK)
    return ExitCode.OK


def survey(clip: Path, config: Config, *, clock: Clock) -> Survey:
    """Reads a clip to its end. Blocking. Raises UnavailableError or UsageError, SourceError when it breaks off.

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
        while (frame := source.read()) is not None:
            width, height = frame.size
            frames += 1
        return Survey(ClipFacts(digest, width, height, frames), time.process_time() - started)


async def evaluate_clip(
    clip: Path,
    truth: Truth,
    looked: Survey,
    config: Config,
    detector: DetectsFaces,
    *,
    clock: Clock,
    progress: Callable[[int], None] = lambda frames: None,
) -> Evaluation:
    """The labelled frames of a clip through the pipeline. `progress` hears how many are done. Raises FaceanondError."""
    async with AsyncExitStack() as stack:
        source, again = (file_source(clip, config, clock=clock) for _ in range(2))
        await open_source(stack, source)
        await open_source(stack, again)
        judge = Judge(truth, again.read, margin=config.anonymise.margin)
        pipeline = FilePipeline(
            source=FirstFrames(source, truth.frames),
            detector=detector,
            options=config.detector,
            track=config.track,
            anonymiser=Anonymiser("file", config.anonymise, clock=clock),
            writer=judge,
            progress=lambda tally: progress(tally.frames),
        )
        cpu, wall = time.process_time(), time.perf_counter()
        if (broken := (await pipeline.run()).broken) is not None:
            raise broken
        judge.finish()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    frames = max(1, judge.tally.frames)
    own = max(0.0, cpu - judge.cpu - looked.decoding(judge.tally.frames))
    return Evaluation(judge.tally, 1000 * own / frames, 1000 * wall / frames)


async def _evaluate(clip: Path, truth: Truth, looked: Survey, config: Config, clock: Clock) -> Evaluation:
    """With a detector of its own and a progress bar on a terminal."""
    async with AsyncExitStack() as stack:
        detector = await stack.enter_async_context(opened_detector(config.detector))
        batcher = Batcher(detector, max_batch=config.detector.max_batch, timeout=PATIENCE, clock=clock)
        bar = stack.enter_context(
            tqdm(total=truth.frames, unit=" frames", desc=clip.name, disable=not sys.stderr.isatty())
        )
        async with asyncio.TaskGroup() as tasks:
            inference = tasks.create_task(batcher.run(), name="inference")
            await detector_answers(batcher)
            done = await evaluate_clip(
                clip, truth, looked, config, batcher, clock=clock, progress=lambda frames: _show(bar, frames)
            )
            inference.cancel()
    return done


def _show(bar: tqdm[NoReturn], frames: int) -> None:
    bar.update(frames - bar.n)


def _check_output(output: Path | None, inputs: Sequence[Path]) -> None:
    """Before the work rather than after it."""
    if output is None:
        return
    if output.exists() and any(given.exists() and output.samefile(given) for given in inputs):
        raise UsageError(f"{output}: is an input; write to another file")
    if output.is_dir():
        raise UnavailableError(f"{output}: is a directory")
    if not output.parent.is_dir():
        raise UnavailableError(f"{output}: the folder {output.parent} does not exist")


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
