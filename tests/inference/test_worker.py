from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from faceanond.config.model import DetectOptions
from faceanond.detect.protocol import DetectRequest, DeviceLostError
from faceanond.errors import DetectionError
from faceanond.frames import Box, Detections, Face
from faceanond.inference.worker import Outcome, infer
from tests.inference.fakes import FACE, FakeDetector, frame


def requests(*cameras: str) -> list[DetectRequest]:
    return [DetectRequest(frame(camera), DetectOptions()) for camera in cameras]


def reasons(outcomes: Sequence[Outcome]) -> list[str | None]:
    return [outcome.reason if isinstance(outcome, DetectionError) else None for outcome in outcomes]


def test_each_frame_gets_its_own_faces() -> None:
    detector = FakeDetector(lambda request: (FACE,) if request.frame.id.camera == "b" else ())
    assert infer(detector, requests("a", "b")) == [
        Detections(frame("a").id, ()),
        Detections(frame("b").id, (FACE,)),
    ]
    assert len(detector.batches) == 1


def test_one_poisonous_frame_conceals_no_other() -> None:
    def answer(request: DetectRequest) -> tuple[Face, ...]:
        if request.frame.id.camera == "b":
            raise DetectionError("nan", "R-Net answered with numbers that are not finite")
        return (FACE,)

    detector = FakeDetector(answer)
    assert reasons(infer(detector, requests("a", "b", "c"))) == [None, "nan", None]
    assert detector.cameras == [["a", "b", "c"], ["a"], ["b"], ["c"]]


def test_any_exception_is_a_named_failure() -> None:
    def answer(request: DetectRequest) -> tuple[Face, ...]:
        raise ZeroDivisionError("division by zero")

    detector = FakeDetector(answer)
    (outcome,) = infer(detector, requests("a"))
    assert isinstance(outcome, DetectionError)
    assert outcome.reason == "detector_failed"
    assert str(outcome) == "the detector failed: ZeroDivisionError: division by zero"
    assert len(detector.batches) == 1


@pytest.mark.parametrize(
    "face", [Face(Box(0, math.nan, 1, 1), 0.9), Face(Box(0, 0, math.inf, 1), 0.9), Face(Box(0, 0, 1, 1), math.nan)]
)
def test_a_face_that_is_not_finite_is_no_answer(face: Face) -> None:
    detector = FakeDetector(lambda request: (FACE, face) if request.frame.id.camera == "a" else ())
    assert reasons(infer(detector, requests("a", "b"))) == ["nan", None]


def test_a_wrong_number_of_answers_is_tried_again_one_by_one() -> None:
    class Forgetful(FakeDetector):
        def detect(self, requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
            return super().detect(requests)[:1]

    assert reasons(infer(Forgetful(), requests("a", "b"))) == [None, None]

    class Mute(FakeDetector):
        def detect(self, requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
            return []

    assert reasons(infer(Mute(), requests("a", "b"))) == ["shape", "shape"]


def test_a_lost_device_is_not_tried_again() -> None:
    def answer(request: DetectRequest) -> tuple[Face, ...]:
        raise DeviceLostError("CUDA failure 719")

    detector = FakeDetector(answer)
    with pytest.raises(DeviceLostError):
        infer(detector, requests("a", "b"))
    assert len(detector.batches) == 1
