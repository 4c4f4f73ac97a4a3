from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.config.model import Anonymise, DetectOptions
from faceanond.detect.pyramid import is_searched
from faceanond.errors import DetectionError
from faceanond.frames import Detections, RawFrame
from faceanond.inference.batcher import Batcher
from faceanond.pipeline.selftest import SelfTestError, anonymiser_hides, detector_answers
from tests.conftest import FakeClock
from tests.inference.fakes import Answer, FakeDetector, found


async def ask(detector: FakeDetector, clock: FakeClock) -> None:
    batcher = Batcher(detector, max_batch=4, timeout=1.0, clock=clock)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(batcher.run(), name="batcher")
        try:
            await detector_answers(batcher)
        finally:
            running.cancel()


async def test_the_detector_is_well_when_the_queue_moves_and_the_canary_is_found(clock: FakeClock) -> None:
    detector = FakeDetector(lambda request: ())
    await ask(detector, clock)
    assert [len(aboard) for aboard in detector.canaries] == [1]


def blind(request: object) -> tuple[()]:
    return ()


def failing(request: object) -> tuple[()]:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("answer", "canary", "reason"),
    [(blind, blind, "canary"), (failing, found, "detector_failed"), (blind, failing, "detector_failed")],
    ids=["blind", "fails", "cannot take the canary"],
)
async def test_the_detector_is_unwell_when_it_is_not_believed(
    clock: FakeClock, answer: Answer, canary: Answer, reason: str
) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        await ask(FakeDetector(answer, canary=canary), clock)
    (error,) = caught.value.exceptions
    assert isinstance(error, DetectionError)
    assert error.reason == reason


async def test_the_picture_in_the_queue_is_one_that_networks_look_at() -> None:
    """A picture that is too small for any pyramid level would pass through a detector that does nothing."""
    asked: list[tuple[RawFrame, DetectOptions]] = []

    class Noting:
        async def detect(self, frame: RawFrame, options: DetectOptions, expected: object = None) -> Detections:
            asked.append((frame, options))
            return Detections(frame.id, ())

    await detector_answers(Noting())
    ((frame, options),) = asked
    assert is_searched(frame.size, options.min_size)


class Careless(Anonymiser):
    """Forgets what the detector found."""

    def seal(self, frame: RawFrame, detections: Detections, *, fps: float = 0.0) -> AnonymisedFrame:
        return super().seal(frame, Detections(detections.frame, ()), fps=fps)


async def test_an_anonymiser_is_well_when_it_hides_what_was_found(clock: FakeClock) -> None:
    with ThreadPoolExecutor(1) as thread:
        await anonymiser_hides(Anonymiser("self test", Anonymise(), clock=clock), thread)
        with pytest.raises(SelfTestError):
            await anonymiser_hides(Careless("self test", Anonymise(), clock=clock), thread)
