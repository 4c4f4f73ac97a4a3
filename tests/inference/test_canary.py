from __future__ import annotations

import math

import pytest
from structlog.testing import capture_logs

from faceanond.config.model import DetectOptions
from faceanond.detect.known import CAMERA, SIZE, known_faces
from faceanond.detect.protocol import DetectRequest
from faceanond.errors import DetectionError
from faceanond.frames import Box, Detections, Face
from faceanond.inference.canary import EVERY, REASON, Canary, Outcome, Ride
from tests.conftest import FakeClock
from tests.inference.fakes import FACE, frame

KNOWN = known_faces()[0]
FOUND = Face(KNOWN.box, 0.99)


def answered(*faces: Face) -> Detections:
    return Detections(KNOWN.frame.id, faces)


def of_camera(name: str, *faces: Face) -> Detections:
    return Detections(frame(name).id, faces)


def doubt(own: Outcome, *others: Outcome) -> str | None:
    """Of a batch whose canary is in the first place."""
    return Ride(KNOWN, 0, 0.0).doubt([own, *others])


def shifted(pixels: float) -> Face:
    box = KNOWN.box
    return Face(Box(box.x1 + pixels, box.y1, box.x2 + pixels, box.y2), 0.99)


def test_a_canary_that_is_found_makes_the_batch_believed() -> None:
    assert doubt(answered(FOUND), of_camera("a", FACE), of_camera("b")) is None


def test_a_box_need_not_fit_exactly_but_must_fit() -> None:
    assert doubt(answered(shifted(10))) is None
    assert doubt(answered(shifted(30))) is not None
    assert doubt(answered(Face(Box(0, 0, SIZE, SIZE), 0.99))) is not None
    assert doubt(answered(Face(Box(60, 60, 20, 20), 0.99))) is not None


@pytest.mark.parametrize("score", [-0.1, 0.0, 0.3, 1.5, 40.0])
def test_a_score_that_no_face_has_is_no_find(score: float) -> None:
    assert doubt(answered(Face(KNOWN.box, score))) is not None


def test_faces_beside_the_known_one_do_no_harm() -> None:
    assert doubt(answered(FACE, FOUND)) is None


def test_no_face_at_all_is_a_miss() -> None:
    assert doubt(answered(), of_camera("a", FACE)) == "the known face was not found among 0 answered"


def test_an_error_in_the_canarys_place_is_a_miss() -> None:
    why = doubt(DetectionError("nan", "not finite"), of_camera("a"))
    assert why == "the known face got no answer: not finite"


@pytest.mark.parametrize("stale", [variant.box for variant in known_faces()[1:]])
def test_the_answer_to_another_variant_is_a_miss(stale: Box) -> None:
    assert doubt(answered(Face(stale, 0.99))) is not None


def test_a_camera_that_is_answered_with_the_known_face_betrays_a_mix_up() -> None:
    assert doubt(answered(FOUND), of_camera("a"), of_camera("b", FACE, FOUND)) is not None
    almost = Face(KNOWN.box, math.nextafter(FOUND.score, 0))
    assert doubt(answered(FOUND), of_camera("a", almost)) is None


def test_the_canary_is_one_more_request_in_its_place() -> None:
    requests = [DetectRequest(frame(name), DetectOptions()) for name in "abc"]
    cameras = [[r.frame.id.camera for r in Ride(KNOWN, place, 0.0).among(requests)] for place in range(4)]
    assert cameras == [
        [CAMERA, "a", "b", "c"],
        ["a", CAMERA, "b", "c"],
        ["a", "b", CAMERA, "c"],
        ["a", "b", "c", CAMERA],
    ]


def test_face_and_place_change_from_ride_to_ride(clock: FakeClock) -> None:
    canary = Canary("cuda", clock)
    rides = [canary.board(2) for _ in range(12)]
    variants = [ride.known.frame.id.index for ride in rides]
    assert all(len(set(variants[start : start + 4])) == 4 for start in range(9)), "no variant comes again within four"
    assert {ride.place for ride in rides} == {0, 1, 2}


def test_it_is_due_at_first(clock: FakeClock) -> None:
    assert Canary("cpu", clock).due


def test_on_a_cpu_it_is_due_again_after_half_a_second(clock: FakeClock) -> None:
    canary = Canary("cpu", clock)
    find(canary)
    assert not canary.due
    clock.move(EVERY - 0.01)
    assert not canary.due
    clock.move(0.01)
    assert canary.due


def test_the_time_runs_from_its_boarding_and_not_from_its_answer(clock: FakeClock) -> None:
    canary = Canary("cpu", clock)
    ride = canary.board(0)
    clock.move(EVERY)
    canary.alight(ride, [Detections(ride.known.frame.id, (Face(ride.known.box, 0.9),))])
    assert canary.due


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "something new"])
def test_on_anything_else_it_is_always_due(clock: FakeClock, provider: str) -> None:
    canary = Canary(provider, clock)
    find(canary)
    assert canary.due


def test_after_a_failure_it_is_due_at_once(clock: FakeClock) -> None:
    canary = Canary("cpu", clock)
    find(canary)
    canary.distrust()
    assert canary.due
    find(canary)
    assert not canary.due
    miss(canary)
    assert canary.due


def test_a_missed_canary_takes_every_answer_of_its_batch_with_it(clock: FakeClock) -> None:
    canary = Canary("cpu", clock)
    ride = canary.board(2)
    outcomes = canary.alight(ride, [answered(), of_camera("a", FACE), of_camera("b")])
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, DetectionError)]
    assert reasons == [REASON, REASON]
    assert outcomes[0] is not outcomes[1], "each is raised in a task of its own, and collects a traceback there"


def test_misses_in_a_row_are_counted_until_one_is_found(clock: FakeClock) -> None:
    canary = Canary("cpu", clock)
    miss(canary)
    miss(canary)
    assert (canary.failures, canary.missed_in_a_row) == (2, 2)
    find(canary)
    miss(canary)
    assert (canary.failures, canary.missed_in_a_row) == (3, 1)


def test_misses_are_told_once_a_second(clock: FakeClock) -> None:
    canary = Canary("cuda", clock)
    with capture_logs() as lines:
        for _ in range(100):
            miss(canary)
            clock.move(0.015625)
    assert [(line["log_level"], line["event"], line["batches"]) for line in lines] == [
        ("error", "batch not believed", 1),
        ("error", "batch not believed", 64),
    ]


def find(canary: Canary) -> None:
    ride = canary.board(0)
    canary.alight(ride, [Detections(ride.known.frame.id, (Face(ride.known.box, 0.9),))])


def miss(canary: Canary) -> None:
    canary.alight(canary.board(0), [answered()])
