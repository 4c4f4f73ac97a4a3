"""A detector under the tests' control, and requests for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from faceanond.detect.known import CAMERA as CANARY
from faceanond.detect.known import known_faces
from faceanond.detect.protocol import DetectRequest
from faceanond.frames import Box, ColourMatrix, Face, FrameId, RawFrame
from faceanond.stats import Histogram, HistogramSnapshot

FACE = Face(Box(1, 2, 3, 4), 0.9)
Answer = Callable[[DetectRequest], tuple[Face, ...]]


def frame(camera: str = "lobby", index: int = 0, size: tuple[int, int] = (2, 2)) -> RawFrame:
    """A picture of (width, height); none of its pixels needs memory of its own."""
    width, height = size
    chroma = np.broadcast_to(np.zeros(1, np.uint8), ((height + 1) // 2, (width + 1) // 2))
    return RawFrame(
        id=FrameId(camera, 1, index),
        y=np.broadcast_to(np.zeros(1, np.uint8), (height, width)),
        u=chroma,
        v=chroma,
        full_range=False,
        matrix=ColourMatrix.BT601,
        captured=0.0,
        pts=0.0,
    )


def one_face(request: DetectRequest) -> tuple[Face, ...]:
    return (FACE,)


def found(request: DetectRequest) -> tuple[Face, ...]:
    """The right answer to a canary."""
    return (Face(known_faces()[request.frame.id.index].box, 0.99),)


class FakeDetector:
    """Answers cameras' frames and canaries as it is told to; while `hold` is cleared, it hangs."""

    name = "fake"

    def __init__(self, answer: Answer = one_face, *, canary: Answer = found, provider: str = "cpu") -> None:
        self.provider = provider
        self._answer = answer
        self._canary = canary
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
        return [
            self._canary(request) if request.frame.id.camera == CANARY else self._answer(request)
            for request in requests
        ]

    def stage_seconds(self) -> Mapping[str, HistogramSnapshot]:
        return {"total": Histogram(1.0).snapshot()}

    def close(self) -> None:
        return

    @property
    def cameras(self) -> list[list[str]]:
        """The batches so far, by camera name; canaries left out."""
        return [[identity.camera for identity in batch if identity.camera != CANARY] for batch in self.batches]

    @property
    def canaries(self) -> list[list[tuple[int, int]]]:
        """The batches so far: (place, variant) of each canary in them."""
        return [
            [(place, identity.index) for place, identity in enumerate(batch) if identity.camera == CANARY]
            for batch in self.batches
        ]
