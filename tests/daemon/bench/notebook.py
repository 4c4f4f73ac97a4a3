"""A detector that finds what it is told to, and the known face, and writes down what cameras asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from faceanond.detect.known import CAMERA as CANARY
from faceanond.detect.protocol import DetectRequest
from faceanond.frames import Box, Face
from faceanond.stats import Histogram, HistogramSnapshot
from tests.inference.fakes import found


class NotebookDetector:
    """`seconds` are what its steps claim to have taken, call by call; `meanwhile` is called in each call."""

    name = "notebook"
    provider = "cpu"

    def __init__(
        self,
        *,
        faces: int = 1,
        steps: Sequence[str] = ("total",),
        seconds: Sequence[float] = (),
        meanwhile: Callable[[], None] = lambda: None,
        error: Exception | None = None,
    ) -> None:
        self.batches: list[list[DetectRequest]] = []
        self.closed = False
        self._faces = tuple(Face(Box(40.0 * n + 10, 60, 40.0 * n + 40, 100), 0.9) for n in range(faces))
        self._steps = {name: Histogram(1.0) for name in steps}
        self._seconds = list(seconds)
        self._meanwhile = meanwhile
        self._error = error

    def warm_up(self) -> None:
        """Nothing to warm."""

    def detect(self, requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
        if self._error is not None:
            raise self._error
        asked = [request for request in requests if request.frame.id.camera != CANARY]
        self.batches.append(asked)
        self._meanwhile()
        taken = self._seconds.pop(0) if self._seconds else 0.0
        for step in self._steps.values():
            step.observe(taken)
        return [self._faces if request in asked else found(request) for request in requests]

    def stage_seconds(self) -> Mapping[str, HistogramSnapshot]:
        return {name: step.snapshot() for name, step in self._steps.items()}

    def close(self) -> None:
        self.closed = True
