"""Detectors for scenes: one that knows the truth, and every way in which a detector may go wrong."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from faceanond.clock import Clock
from faceanond.detect.known import CAMERA as CANARY
from faceanond.detect.known import known_faces
from faceanond.detect.protocol import Detector, DetectRequest
from faceanond.errors import DetectionError
from faceanond.frames import Box, Detections, Face, FrameId, RawFrame
from faceanond.stats import Histogram, HistogramSnapshot
from tests.scenes import barcode
from tests.scenes.scene import Scene

Answers = list[Any]
Requests = Sequence[DetectRequest]
Fault = Callable[["FaultyDetector", Requests, Answers], Answers]
"""From what was asked and the right answers to what comes back."""


class Knowing:
    """Answers with what the scenes know; reads from the frame itself which one it is. Finds canaries, too."""

    name = "knowing"

    def __init__(self, *scenes: Scene, provider: str = "cpu") -> None:
        self.provider = provider
        self._scenes = {scene.size: scene for scene in scenes}

    def warm_up(self) -> None:
        return

    def detect(self, requests: Sequence[DetectRequest]) -> Answers:
        return [self._faces(request.frame) for request in requests]

    def _faces(self, frame: RawFrame) -> tuple[Face, ...]:
        if frame.id.camera == CANARY:
            return (Face(known_faces()[frame.id.index].box, 0.99),)
        number = barcode.read(frame.u)
        assert number is not None
        return tuple(Face(face.box, 0.99) for face in self._scenes[frame.size].truth(number).faces)

    def stage_seconds(self) -> Mapping[str, HistogramSnapshot]:
        return {"total": Histogram(1.0).snapshot()}

    def close(self) -> None:
        return


class Remembering:
    """A detector that is not asked the same thing twice: its answers depend on nothing but the question."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._known: dict[tuple[object, ...], Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    def detect(self, requests: Sequence[DetectRequest]) -> Answers:
        # A frame is equal to itself alone, and lives as long as its scene.
        keys = [(request.frame, request.options.model_dump_json(), request.expected) for request in requests]
        fresh = [request for key, request in zip(keys, requests, strict=True) if key not in self._known]
        answers = dict(zip((id(request) for request in fresh), self._detector.detect(fresh), strict=True))
        for key, request in zip(keys, requests, strict=True):
            if id(request) in answers and request.frame.id.camera != CANARY:
                self._known[key] = answers[id(request)]
        return [answers.get(id(r), self._known.get(key)) for key, r in zip(keys, requests, strict=True)]


class Blinded:
    """A detector that works, but finds nothing in some frames, neither by itself nor where it is told to look.

    `where`: nothing whose middle is there; everywhere unless given.
    """

    def __init__(
        self, detector: Detector, blind: Callable[[int], bool], where: Callable[[Box], bool] = lambda box: True
    ) -> None:
        self._detector = detector
        self._blind = blind
        self._where = where

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    def detect(self, requests: Sequence[DetectRequest]) -> Answers:
        answers = self._detector.detect(requests)
        return [
            tuple(face for face in answer if not self._where(face.box)) if self._misses(request.frame) else answer
            for request, answer in zip(requests, answers, strict=True)
        ]

    def _misses(self, frame: RawFrame) -> bool:
        if frame.id.camera == CANARY:
            return False
        number = barcode.read(frame.u)
        assert number is not None
        return self._blind(number)


class FaultyDetector(Knowing):
    """Knows the truth, but goes wrong on the frames numbered `when`, in the way of `fault`."""

    def __init__(self, scene: Scene, fault: Fault, when: range, *, clock: Clock, provider: str = "cpu") -> None:
        super().__init__(scene, provider=provider)
        self.clock = clock
        self.release = threading.Event()
        """Set at the end of a test, so that a detector that hangs leaves no thread behind."""
        self.calls = 0
        """How often it went wrong."""
        self._fault = fault
        self._when = when

    def detect(self, requests: Sequence[DetectRequest]) -> Answers:
        answers = super().detect(requests)
        numbers = [barcode.read(request.frame.u) for request in requests if request.frame.id.camera != CANARY]
        if not any(number in self._when for number in numbers):
            return answers
        self.calls += 1
        return self._fault(self, requests, answers)


def _raises(detector: FaultyDetector, requests: Requests, answers: Answers) -> Answers:
    raise RuntimeError("out of order")


def _refuses(detector: FaultyDetector, requests: Requests, answers: Answers) -> Answers:
    raise DetectionError("detector_failed", "out of order")


def _each(spoil: Callable[[Any], Any]) -> Fault:
    """What is the picture's fault: the canary beside it is found. A canary missed thrice would end the process."""
    return lambda detector, requests, answers: [
        answer if request.frame.id.camera == CANARY else spoil(answer)
        for request, answer in zip(requests, answers, strict=True)
    ]


def _with(box: Box, score: float = 0.9) -> Fault:
    return _each(lambda faces: (*faces, Face(box, score)))


def _sees_nothing(detector: FaultyDetector, requests: Requests, answers: Answers) -> Answers:
    return [() for _ in answers]


def _same_for_all(detector: FaultyDetector, requests: Requests, answers: Answers) -> Answers:
    """Boxes of a place where nobody is, for the canary as for the cameras: memory that was never written."""
    return [(Face(Box(1, 1, 30, 30), 0.9),) for _ in answers]


def _hangs(detector: FaultyDetector, requests: Requests, answers: Answers) -> Answers:
    detector.release.wait(30)
    return answers


def slow(seconds: float) -> Fault:
    """Takes so much simulated time."""

    def fault(detector: FaultyDetector, requests: Requests, answers: Answers) -> Answers:
        end = detector.clock.monotonic() + seconds
        while detector.clock.monotonic() < end and not detector.release.is_set():
            time.sleep(0.0005)
        return answers

    return fault


GOOD = Box(10, 10, 60, 60)
FAULTS: dict[str, Fault] = {
    "raises": _raises,
    "refuses": _refuses,
    "NaN in a box": _with(Box(10, math.nan, 60, 60)),
    "an endless box": _with(Box(10, 10, math.inf, 60)),
    "NaN as a score": _with(GOOD, math.nan),
    "a score of 7": _with(GOOD, 7.0),
    "a box inside out": _with(Box(60, 10, 10, 60)),
    "a box far away": _with(Box(10, 10, 1e9, 60)),
    "a crowd of 5000": _each(lambda faces: (Face(GOOD, 0.9),) * 5000),
    "an answer too few": lambda detector, requests, answers: answers[:-1],
    "an answer too many": lambda detector, requests, answers: [*answers, ()],
    "no answer at all": lambda detector, requests, answers: [],
    "None": _each(lambda faces: None),
    "numbers instead of faces": _each(lambda faces: (1.0, 2.0)),
}
"""What is noticed whatever it runs on."""
SILENT_FAULTS: dict[str, Fault] = {"sees nothing": _sees_nothing, "the same for all": _same_for_all}
"""What only the canary notices: on a GPU in every batch, on a CPU within half a second."""
HANGS: Fault = _hangs


class Between:
    """Stands where pipelines meet the shared queue, and spoils what comes back for the frames numbered `when`."""

    def __init__(self, detector: Any, when: range, spoil: Callable[[Detections], Detections]) -> None:
        self._detector = detector
        self._when = when
        self._spoil = spoil

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    async def detect(self, frame: RawFrame, *more: Any, **options: Any) -> Detections:
        answer: Detections = await self._detector.detect(frame, *more, **options)
        return self._spoil(answer) if barcode.read(frame.u) in self._when else answer


def of_another_frame(answer: Detections) -> Detections:
    return Detections(FrameId(answer.frame.camera, answer.frame.generation, answer.frame.index - 1), ())


def of_another_generation(answer: Detections) -> Detections:
    return Detections(FrameId(answer.frame.camera, answer.frame.generation + 1, answer.frame.index), ())


def of_another_camera(answer: Detections) -> Detections:
    return Detections(FrameId("yard", answer.frame.generation, answer.frame.index), ())
