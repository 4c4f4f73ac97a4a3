"""Builds the camera, the detector and the pipelines, has them measured, and prints what came out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from faceanond.capture.demo import DemoOptions
from faceanond.capture.demo_clip import write_demo_clip
from faceanond.clock import SystemClock
from faceanond.config.model import Camera, Config
from faceanond.config.secrets import secret_values
from faceanond.config.types import Source as SourceUrl
from faceanond.daemon.bench import plan as planned
from faceanond.daemon.bench.figures import Together, asked_too_much, capacity, full_load, run_seconds
from faceanond.daemon.bench.machine import Others, this_machine
from faceanond.daemon.bench.plan import Plan, make_plan
from faceanond.daemon.bench.report import Result, as_json, as_text
from faceanond.daemon.bench.stages import decoded, measure_batches, measure_stages
from faceanond.daemon.bench.together import run_together
from faceanond.daemon.run import first_error, leave_hanging_threads, prepare_process
from faceanond.daemon.version import versions
from faceanond.detect.factory import open_detector
from faceanond.detect.protocol import Detector
from faceanond.detect.pyramid import is_searched
from faceanond.errors import ExitCode, UsageError
from faceanond.observe.logging import set_up_logging

MOST_CAMERAS = 64
"""In the common run: beyond, opening them takes longer than measuring."""


def run_bench(config: Config, *, size: str, fps: float, seconds: float, json_output: bool) -> int:
    """Measures and prints; returns the exit code. Only the result goes to standard output.

    Raises UsageError for a camera that cannot be, UnavailableError when the detector's device is missing.
    """
    plan = make_plan(size, fps=fps, seconds=seconds)
    # The question is what a frame costs that goes through all stages: none is left out.
    config = config.model_copy(update={"encode": config.encode.model_copy(update={"max_fps": 0.0})})
    if not is_searched((plan.width, plan.height), config.detector.min_size):
        raise UsageError(
            f"--size {size}: no face of detector.min_size = {config.detector.min_size} pixels fits into such a "
            "picture, so the daemon would conceal all of it"
        )
    prepare_process()
    with set_up_logging(config.log.model_copy(update={"level": "error"}), secret_values(config)):
        if sys.stderr.isatty():
            print(f"measuring for about {seconds:g} s; let the machine do nothing else ...", file=sys.stderr)
        result = _measure(config, plan)
    print(json.dumps(as_json(result), indent=2) if json_output else "\n".join(as_text(result)))
    leave_hanging_threads(ExitCode.OK)
    return ExitCode.OK


def _measure(config: Config, plan: Plan) -> Result:
    clock, machine = SystemClock(), this_machine()
    with _memory_file("bench") as path, closing(open_detector(config.detector)) as detector:
        scene = DemoOptions(plan.width, plan.height, plan.fps, faces=planned.FACES)
        clip = write_demo_clip(
            path,
            scene,
            frames=planned.CLIP_FRAMES,
            within=plan.seconds * planned.CLIP_SHARE,
            clock=clock,
            times=planned.CLIP_LENGTH // planned.CLIP_FRAMES,
        )
        camera = Camera(
            source=SourceUrl("file", path),
            detector=config.detector,
            anonymise=config.anonymise,
            encode=config.encode,
        )
        detector.warm_up()
        others = Others()
        decode, frames = decoded(
            camera, held=min(plan.held, clip.frames), every=clip.frames, seconds=plan.seconds * planned.DECODE_SHARE
        )
        measured = measure_stages(camera, detector, frames, fps=plan.fps, seconds=plan.seconds * planned.STAGES_SHARE)
        batches = measure_batches(
            camera,
            detector,
            frames,
            sizes=planned.batch_sizes(config.detector.max_batch, detector.provider),
            seconds=plan.seconds * planned.BATCHES_SHARE,
        )
        frames.clear()
        stages = {"decode": decode, **measured.stages}
        carried = capacity(stages, batches, None, cores=machine.cores, fps=plan.fps)
        together = _together(config, detector, camera, plan, carried.frames_per_second)
        carried = capacity(stages, batches, together, cores=machine.cores, fps=plan.fps)
        if asked_too_much(together, carried):
            together = _together(config, detector, camera, plan, carried.frames_per_second)
        taken = others.share()
        return Result(
            machine=machine,
            others=taken,
            detector=detector.name,
            provider=detector.provider,
            versions=versions(),
            plan=plan,
            settings={
                name: getattr(config, name).model_dump(mode="json")
                for name in ("detector", "track", "anonymise", "encode")
            },
            faces=clip.faces,
            found=measured.found,
            stages=stages,
            inside=measured.inside,
            batches=batches,
            together=together,
            capacity=capacity(stages, batches, together, cores=machine.cores, fps=plan.fps, others=taken),
        )


def _together(config: Config, detector: Detector, camera: Camera, plan: Plan, frames_per_second: float) -> Together:
    """Cameras that nearly fill what the stages alone promise."""
    cameras, rate = full_load(frames_per_second, plan.fps, MOST_CAMERAS)
    running = run_together(
        detector,
        config.detector,
        camera,
        cameras=cameras,
        rate=rate,
        speed=rate / plan.fps,
        seconds=run_seconds(plan.seconds * planned.TOGETHER_SHARE, cameras * rate),
        clock=SystemClock(),
    )
    try:
        return asyncio.run(running)
    except BaseExceptionGroup as group:
        raise first_error(group) from None


@contextmanager
def _memory_file(name: str) -> Iterator[str]:
    """The path of a file that exists in this process's memory only: whatever ends the process, nothing is left."""
    descriptor = os.memfd_create(name)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
