"""Measures one stage after the other, each while nothing else runs.

So a stage's processor time is the process's: libraries' threads are counted, too. Pictures arrive at the camera's pace
on a clock that jumps ahead instead of waiting, because the encoder's rate and its keyframes depend on the pace.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.capture.options import target
from faceanond.capture.pacing import Pacer
from faceanond.capture.pyav_source import PyAvSource
from faceanond.capture.source import Source
from faceanond.clock import SystemClock
from faceanond.config.model import Camera
from faceanond.daemon.bench.figures import BatchCost, Cost, Times, mean_between, there_and_back
from faceanond.detect.protocol import Detector, DetectRequest
from faceanond.errors import DetectionError, FaceanondError
from faceanond.frames import Detections, Expected, RawFrame
from faceanond.pipeline.judge import Judged, seal_judged
from faceanond.publish.encoder import Encoder
from faceanond.track.tracker import Tracker

WARM_UP = 3
"""Runs of a stage that are not counted: buffers are allocated, tables built, caches filled."""
LEAST = 8
"""Runs that are counted however long they take."""


class JumpingClock(SystemClock):
    """Real time, except that waiting is skipped."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped

    def skip(self, seconds: float) -> None:
        """Instead of waiting so long."""
        self._skipped += seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """What the stages cost. `inside` are the detector's own steps, in mean milliseconds a frame; `found` is the mean
    number of faces that it found in a picture."""

    stages: Mapping[str, Cost]
    inside: Mapping[str, float]
    found: float


def decoded(camera: Camera, *, held: int, every: int, seconds: float) -> tuple[Cost, list[RawFrame]]:
    """The cost of reading a picture from the camera, and so many of its pictures, from where the scene, which repeats
    itself `every` so many pictures, begins. Raises SourceError."""
    clock = JumpingClock()
    pacer = Pacer(clock, longest=camera.timeout, wait=clock.skip)
    source = PyAvSource("bench", target(camera), generation=1, clock=clock, timeout=camera.timeout, pacer=pacer)
    try:
        source.open()
        times = Times()
        for counted in _for(seconds):
            with _timed(times if counted else None):
                _next(source)
        frame = _next(source)
        while frame.id.index % every:
            frame = _next(source)
        return times.cost(), [frame, *(_next(source) for _ in range(held - 1))]
    finally:
        source.close()


def _next(source: Source) -> RawFrame:
    frame = source.read()
    if frame is None:
        raise FaceanondError("the test clip ended early")
    return frame


def measure_stages(
    camera: Camera, detector: Detector, frames: Sequence[RawFrame], *, fps: float, seconds: float
) -> Measured:
    """What comes after decoding, frame by frame, over and over. Raises DetectionError or EncodeError."""
    clock = JumpingClock()
    anonymiser, encoder = (
        Anonymiser("bench", camera.anonymise, camera.zones, clock=clock),
        Encoder("bench", camera.encode, clock=clock),
    )
    tracker = Tracker(hold=camera.track.hold) if camera.track.enabled else None
    times = {"detect": Times(), "track": Times(), "seal": Times(), "encode": Times()}
    if tracker is None:
        del times["track"]
    before = detector.stage_seconds()
    faces: list[int] = []
    order = there_and_back(len(frames))
    began = clock.monotonic()
    try:
        for number, counted in enumerate(_for(seconds)):
            if number == WARM_UP:
                before = detector.stage_seconds()
            # When its turn in a camera's stream would be.
            frame = replace(frames[order[number % len(order)]], captured=began + number / fps, pts=number / fps)
            expected = None
            if tracker is not None:
                with _timed(times["track"] if counted else None):
                    expected = tracker.expect(frame)
            with _timed(times["detect"] if counted else None):
                (found,) = detector.detect([DetectRequest(frame, camera.detector, expected)])
            outcome = found if isinstance(found, DetectionError) else Detections(frame.id, found)
            if tracker is not None and isinstance(outcome, Detections):
                with _timed(times["track"] if counted else None, again=True):
                    outcome = tracker.update(frame, outcome).detections
            with _timed(times["seal"] if counted else None):
                sealed = seal_judged(anonymiser, Judged(frame, outcome), fps=fps)
            with _timed(times["encode"] if counted else None):
                encoder.encode(sealed)
            faces.append(sum(not face.coasted for face in outcome.faces) if isinstance(outcome, Detections) else 0)
    finally:
        encoder.close()
    means = {name: mean_between(before.get(name), after) for name, after in detector.stage_seconds().items()}
    return Measured(
        stages={name: collected.cost() for name, collected in times.items()},
        inside={name: 1000 * mean for name, mean in means.items() if mean is not None},
        found=sum(faces) / len(faces),
    )


def measure_batches(
    camera: Camera, detector: Detector, frames: Sequence[RawFrame], *, sizes: Sequence[int], seconds: float
) -> list[BatchCost]:
    """What a frame costs in batches of each size. The sizes take turns, so that whatever else happens on the machine
    meanwhile concerns all of them. Raises DetectionError."""
    times = {size: Times() for size in sizes}
    order = there_and_back(len(frames))
    largest = max(sizes)
    expected: tuple[Expected, ...] | None = () if camera.track.enabled else None
    for number, counted in enumerate(_for(seconds, least=2, warm_up=1)):
        # The same pictures for every size: single ones could be more or less busy by accident.
        window = [frames[order[(number * largest + place) % len(order)]] for place in range(largest)]
        for size in sizes:
            for start in range(0, largest - largest % size, size):
                requests = [DetectRequest(frame, camera.detector, expected) for frame in window[start : start + size]]
                with _timed(times[size] if counted else None, share=size):
                    detector.detect(requests)
    costs = {size: collected.cost() for size, collected in times.items()}
    return [BatchCost(size, cost.cpu.mean, cost.wall.mean) for size, cost in costs.items()]


def _for(seconds: float, *, least: int = LEAST, warm_up: int = WARM_UP) -> Iterator[bool]:
    """One item per run until the time is over: whether it counts. The warm-up's time does not count either."""
    for _ in range(warm_up):
        yield False
    end = time.perf_counter() + seconds
    done = 0
    while done < least or time.perf_counter() < end:
        yield True
        done += 1


@contextmanager
def _timed(times: Times | None, *, share: int = 1, again: bool = False) -> Iterator[None]:
    """Notes what the body took, for each of `share` frames; `again`: of the frame that was noted last."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if times is None:
        return
    if again:
        times.cpu[-1] += 1000 * cpu
        times.wall[-1] += 1000 * wall
    else:
        times.cpu.append(1000 * cpu / share)
        times.wall.append(1000 * wall / share)
