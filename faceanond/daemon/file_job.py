"""`faceanond anonymise`: one file through the same stages as a camera, every frame."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.capture.factory import make_source
from faceanond.capture.source import Source, StreamInfo
from faceanond.clock import Clock, SystemClock
from faceanond.config.model import Camera, Config
from faceanond.config.secrets import secret_values
from faceanond.config.types import Source as SourceUrl
from faceanond.daemon.detector import opened_detector
from faceanond.daemon.run import first_error, leave_hanging_threads, prepare_process
from faceanond.errors import ExitCode, SourceError, SourceFault, UnavailableError, UsageError
from faceanond.frames import Verdict
from faceanond.inference.batcher import Batcher
from faceanond.observe.logging import set_up_logging
from faceanond.pipeline.file import FilePipeline, Report, Tally
from faceanond.pipeline.selftest import detector_answers
from faceanond.publish.file import FileWriter

PATIENCE = 60.0
"""Seconds that the detector may take for one frame: nobody watches live, so a slow machine conceals nothing."""


def run_file_job(
    given: Path, target: Path, config: Config, *, report: Path | None = None, keep_audio: bool = False
) -> int:
    """`anonymise_file` as a process: sets it up and returns the exit code. Raises FaceanondError."""
    prepare_process()
    # Between the progress bar's lines only what matters: the end tells the rest.
    with set_up_logging(config.log.model_copy(update={"level": "warning"}), secret_values(config)):
        try:
            code = asyncio.run(anonymise_file(given, target, config, report=report, keep_audio=keep_audio))
        except BaseExceptionGroup as group:
            raise first_error(group) from None
    leave_hanging_threads(code)
    return code


async def anonymise_file(
    given: Path, target: Path, config: Config, *, report: Path | None = None, keep_audio: bool = False
) -> ExitCode:
    """Writes `target` and, if named, the report. Shows progress on a terminal and says at the end what was done.

    Raises UsageError or UnavailableError when the files cannot be used. A file that breaks off in the middle is
    anonymised as far as it goes, and the exit code is FAILED.
    """
    _check_paths(given, target, report)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        source = file_source(given, config, clock=clock)
        info = await open_source(stack, source)
        detector = await stack.enter_async_context(opened_detector(config.detector))
        batcher = Batcher(detector, max_batch=config.detector.max_batch, timeout=PATIENCE, clock=clock)
        with ExitStack() as files:
            lines = files.enter_context(Report(report)) if report is not None else None
            writer = files.enter_context(
                FileWriter(target, fps=info.fps, preset=config.encode.preset, audio_from=given if keep_audio else None)
            )
            progress = files.enter_context(
                tqdm(total=info.frames or None, unit=" frames", desc=given.name, disable=not sys.stderr.isatty())
            )
            pipeline = FilePipeline(
                source=source,
                detector=batcher,
                options=config.detector,
                track=config.track,
                anonymiser=Anonymiser("file", config.anonymise, clock=clock),
                writer=writer,
                report=lines,
                progress=lambda tally: _show(progress, tally),
            )
            async with asyncio.TaskGroup() as tasks:
                inference = tasks.create_task(batcher.run(), name="inference")
                await detector_answers(batcher)
                tally = await pipeline.run()
                inference.cancel()
    return _conclude(given, target, tally)


def _check_paths(given: Path, target: Path, report: Path | None) -> None:
    if not given.is_file():
        raise UnavailableError(f"{given}: " + ("is a directory" if given.is_dir() else "there is no such file"))
    for output in (target, report):
        if output is None:
            continue
        if output.exists() and output.samefile(given):
            raise UsageError(f"{output}: is the input; write to another file")
        if not output.parent.is_dir():
            raise UnavailableError(f"{output}: the folder {output.parent} does not exist")
    if report is not None and report.resolve() == target.resolve():
        raise UsageError(f"{report}: the report and the video cannot be the same file")


def file_source(given: Path, config: Config, *, clock: Clock) -> Source:
    """Every picture of a file, as fast as it is read; not opened yet."""
    camera = Camera(
        source=SourceUrl("file", str(given)),
        detector=config.detector,
        track=config.track,
        anonymise=config.anonymise,
        encode=config.encode,
    )
    return make_source("file", camera, generation=1, clock=clock, live=False)


async def open_source(stack: AsyncExitStack, source: Source) -> StreamInfo:
    """Opens the source of a file, for as long as the stack lives. Raises UnavailableError or UsageError."""
    thread = stack.enter_context(ThreadPoolExecutor(1, "open"))
    loop = asyncio.get_running_loop()
    stack.push_async_callback(loop.run_in_executor, thread, source.close)
    try:
        return await loop.run_in_executor(thread, source.open)
    except SourceError as error:
        if error.fault is SourceFault.NOT_FOUND:
            raise UnavailableError(str(error)) from None
        raise UsageError(str(error)) from None


def _show(progress: tqdm[NoReturn], tally: Tally) -> None:
    progress.update(tally.frames - progress.n)


def _conclude(given: Path, target: Path, tally: Tally) -> ExitCode:
    """Says what was done, with every reason why a picture was concealed as a whole."""
    counts = ", ".join(f"{tally.verdicts[verdict]} {verdict.value}" for verdict in Verdict if tally.verdicts[verdict])
    print(f"{target}: {tally.frames} frames ({counts}), {tally.faces} faces hidden")
    for reason, count in sorted(tally.reasons.items()):
        print(f"{target}: {count} frames are concealed as a whole: {reason.replace('_', ' ')}")
    if tally.broken is not None:
        print(f"faceanond: {given}: broke off after {tally.frames} frames: {tally.broken}", file=sys.stderr)
        return ExitCode.FAILED
    return ExitCode.OK
