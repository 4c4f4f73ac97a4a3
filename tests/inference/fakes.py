"""A detector under the tests' control, and requests for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from faceanond.detect.protocol import DetectRequest
from faceanond.frames import Box, ColourMatrix, Face, FrameId, RawFrame
from faceanond.stats import Histogram, HistogramSnapshot

FACE = Face(Box(1, 2, 3, 4), 0.9)


def frame(camera: str = "lobby", index: int = 0) -> RawFrame:
    return RawFrame(
        id=FrameId(camera, 1, index),
        y=np.zeros((2, 2), np.uint8),
        u=np.zeros((1, 1), np.uint8),
        v=np.zeros((1, 1), np.uint8),
        full_range=False,
        matrix=ColourMatrix.BT601,
        captured=0.0,
        pts=0.0,
    )


class FakeDetector:
    """Finds one face in everything, or what `answer` says; while `hold` is cleared, it hangs."""

    name = "fake"
    provider = "cpu"

    def __init__(self, answer: Callable[[DetectRequest], tuple[Face, ...]] = lambda request: (FACE,)) -> None:
        self._answer = answer
        self.hold = threading.Event()
        self.hold.set()
        self.entered = threading.Semaphore(0)
        self.batches: list[list[FrameId]] = []
        self.threads: set[str] = set()

    def warm_up(self) -> None:
        return

    def detect(self, requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
        self.batches.append([request.frame.id for request in requests])
        self.threads.add(threading.current_thread().name)
        self.entered.release()
        self.hold.wait(20)
        return [self._answer(request) for request in requests]

    def stage_seconds(self) -> Mapping[str, HistogramSnapshot]:
        return {"total": Histogram(1.0).snapshot()}

    def close(self) -> None:
        return

    @property
    def cameras(self) -> list[list[str]]:
        """The batches so far, by camera name."""
        return [[identity.camera for identity in batch] for batch in self.batches]
