from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from faceanond.config.model import DetectOptions
from faceanond.detect.known import CAMERA as CANARY
from faceanond.detect.known import SIZE
from faceanond.detect.protocol import DetectRequest, DeviceLostError, too_many
from faceanond.errors import DetectionError
from faceanond.frames import Box, Detections, Face
from faceanond.inference.canary import Canary, Outcome
from faceanond.inference.worker import infer
from tests.conftest import FakeClock
from tests.inference.fakes import FACE, FakeDetector, found, frame

Answers = Callable[[Sequence[DetectRequest]], Any]


@pytest.fixture
def canary(clock: FakeClock) -> Canary:
    """One that rides in every batch."""
    return Canary("cuda", clock)


def requests(*cameras: str) -> list[DetectRequest]:
    return [DetectRequest(frame(camera), DetectOptions()) for camera in cameras]


def reasons(outcomes: Sequence[Outcome]) -> list[str | None]:
    return [outcome.reason if isinstance(outcome, DetectionError) else None for outcome in outcomes]


class Answering(FakeDetector):
    """Answers a whole batch with whatever the function says."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers

    def detect(self, requests: Sequence[DetectRequest]) -> Any:
        super().detect(requests)
        return self._answers(requests)


def failing(error: Exception) -> Callable[[DetectRequest], tuple[Face, ...]]:
    def answer(request: DetectRequest) -> tuple[Face, ...]:
        raise error

    return answer


def test_each_frame_gets_its_own_faces(canary: Canary) -> None:
    detector = FakeDetector(lambda request: (FACE,) if request.frame.id.camera == "b" else ())
    for place in (0, 1, 2):
        assert infer(detector, requests("a", "b"), canary) == [
            Detections(frame("a").id, ()),
            Detections(frame("b").id, (FACE,)),
        ]
        assert detector.canaries[-1] == [(place, place)]
    assert len(detector.batches) == 3


def test_a_batch_is_not_burdened_with_a_canary_that_is_not_due(clock: FakeClock) -> None:
    detector, canary = FakeDetector(), Canary("cpu", clock)
    for _ in range(3):
        assert reasons(infer(detector, requests("a"), canary)) == [None]
    assert [len(aboard) for aboard in detector.canaries] == [1, 0, 0]


def test_one_poisonous_frame_conceals_no_other(canary: Canary) -> None:
    def answer(request: DetectRequest) -> tuple[Face, ...]:
        if request.frame.id.camera == "b":
            raise DetectionError("nan", "R-Net answered with numbers that are not finite")
        return (FACE,)

    detector = FakeDetector(answer)
    assert reasons(infer(detector, requests("a", "b", "c"), canary)) == [None, "nan", None]
    assert detector.cameras == [["a", "b", "c"], ["a"], ["b"], ["c"]]


def test_a_frame_that_is_refused_alone_costs_the_others_no_second_look(clock: FakeClock) -> None:
    canary = Canary("cpu", clock)

    class Choosy(FakeDetector):
        def detect(self, requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
            answers = super().detect(requests)
            poster = [request.frame.id.camera == "poster" for request in requests]
            return [too_many(9, 8) if bad else answer for bad, answer in zip(poster, answers, strict=True)]  # type: ignore[misc]

    detector = Choosy()
    assert reasons(infer(detector, requests("a", "poster", "c"), canary)) == [None, "too_many_faces", None]
    assert len(detector.batches) == 1
    # It is the picture's fault, so the next batch needs no canary.
    infer(detector, requests("a"), canary)
    assert len(detector.batches[-1]) == 1


@pytest.mark.parametrize("provider", ["cpu", "cuda"])
def test_after_a_failure_no_frame_is_tried_without_a_canary(clock: FakeClock, provider: str) -> None:
    poisoned = True

    def answer(request: DetectRequest) -> tuple[Face, ...]:
        if poisoned and request.frame.id.camera == "b":
            raise ValueError("bad frame")
        return ()

    canary = Canary(provider, clock)
    infer(FakeDetector(), requests("a"), canary)  # so that on a CPU none would be due
    detector = FakeDetector(answer)
    infer(detector, requests("a", "b"), canary)
    assert [len(aboard) for aboard in detector.canaries[1:]] == [1, 1]
    poisoned = False
    infer(detector, requests("a", "b"), canary)
    assert len(detector.canaries[-1]) == 1, "the last thing that happened was b's failure"


def test_a_detector_that_fails_and_then_answers_nothing_is_not_believed(canary: Canary) -> None:
    """Its device broke with the first call: what answers afterwards is an empty shell."""
    calls = 0

    def answers(requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("device error")
        return [() for _ in requests]

    assert reasons(infer(Answering(answers), requests("a", "b", "c"), canary)) == ["canary"] * 3
    assert canary.failures == 3


def test_a_detector_that_finds_nothing_anywhere_is_not_believed(canary: Canary) -> None:
    detector = FakeDetector(lambda request: (), canary=lambda request: ())
    assert reasons(infer(detector, requests("a", "b"), canary)) == ["canary", "canary"]
    assert len(detector.batches) == 1, "a missed canary is no reason to try again"


def test_stale_answers_are_not_believed(canary: Canary) -> None:
    """Each batch is answered with what the one before should have been answered with."""
    last: list[tuple[Face, ...]] = []

    def answers(requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
        nonlocal last
        stale, last = last, [found(r) if r.frame.id.camera == CANARY else () for r in requests]
        return stale or last

    detector = Answering(answers)
    assert reasons(infer(detector, requests("a"), canary)) == [None]
    for _ in range(8):
        assert reasons(infer(detector, requests("a"), canary)) == ["canary"]


def test_a_detector_that_answers_every_frame_like_the_canary_is_not_believed(canary: Canary) -> None:
    def answers(requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
        (own,) = [found(request) for request in requests if request.frame.id.camera == CANARY]
        return [own for _ in requests]

    assert reasons(infer(Answering(answers), requests("a", "b"), canary)) == ["canary", "canary"]


def test_answers_in_another_order_are_not_believed(canary: Canary) -> None:
    def answers(requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
        right = [found(request) if request.frame.id.camera == CANARY else () for request in requests]
        return [right[-1], *right[:-1]]

    for _ in range(4):
        assert reasons(infer(Answering(answers), requests("a", "b"), canary)) == ["canary", "canary"]


@pytest.mark.parametrize(
    "wrong",
    [
        Face(Box(math.nan, math.nan, math.nan, math.nan), 0.9),
        Face(Box(0, 0, 10, 10), math.nan),
        Face(Box(0, 0, SIZE, SIZE), 1.0),
        Face(Box(-1e30, -1e30, 1e30, 1e30), 1.0),
        Face(Box(0, 0, 0, 0), 1.0),
    ],
    ids=["nan box", "nan score", "whole picture", "whole world", "nothing"],
)
def test_a_canary_answered_with_garbage_makes_the_batch_unbelieved(canary: Canary, wrong: Face) -> None:
    detector = FakeDetector(canary=lambda request: (wrong,))
    assert reasons(infer(detector, requests("a", "b"), canary)) == ["canary", "canary"]


def test_any_exception_is_a_named_failure(canary: Canary) -> None:
    detector = FakeDetector(failing(ZeroDivisionError("division by zero")))
    (outcome,) = infer(detector, requests("a"), canary)
    assert isinstance(outcome, DetectionError)
    assert outcome.reason == "detector_failed"
    assert str(outcome) == "the detector failed: ZeroDivisionError: division by zero"
    assert len(detector.batches) == 1


def test_a_detector_that_cannot_take_the_canary_is_not_believed_without_it(canary: Canary) -> None:
    detector = FakeDetector(canary=failing(ValueError("not this size")))
    assert reasons(infer(detector, requests("a", "b"), canary)) == ["detector_failed"] * 2


@pytest.mark.parametrize(
    "face", [Face(Box(0, math.nan, 1, 1), 0.9), Face(Box(0, 0, math.inf, 1), 0.9), Face(Box(0, 0, 1, 1), math.nan)]
)
def test_a_face_that_is_not_finite_is_no_answer(canary: Canary, face: Face) -> None:
    detector = FakeDetector(lambda request: (FACE, face) if request.frame.id.camera == "a" else ())
    assert reasons(infer(detector, requests("a", "b"), canary)) == ["nan", None]


def test_a_wrong_number_of_answers_is_tried_again_one_by_one(canary: Canary) -> None:
    def two_at_most(requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
        return [found(request) if request.frame.id.camera == CANARY else () for request in requests][:2]

    assert reasons(infer(Answering(two_at_most), requests("a", "b"), canary)) == [None, None]
    assert reasons(infer(Answering(lambda requests: []), requests("a", "b"), canary)) == ["shape", "shape"]


@pytest.mark.parametrize("answer", [None, 3, [None, None], [[1.0, 2.0], [FACE]]])
def test_answers_that_are_no_faces_are_no_answer(clock: FakeClock, answer: object) -> None:
    canary = Canary("cpu", clock)
    infer(FakeDetector(), requests("x"), canary)  # so that none is due
    outcomes = reasons(infer(Answering(lambda requests: answer), requests("a", "b"), canary))
    assert outcomes[0] in {"shape", "detector_failed"}


def test_a_lost_device_is_not_tried_again(canary: Canary) -> None:
    detector = FakeDetector(failing(DeviceLostError("CUDA failure 719")))
    with pytest.raises(DeviceLostError):
        infer(detector, requests("a", "b"), canary)
    assert len(detector.batches) == 1
