"""A closer look where a track expects a face: with the packaged face, turned or in the dark."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceanond.config.model import DetectOptions
from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect import guided
from faceanond.detect import mtcnn as module
from faceanond.detect.factory import open_detector
from faceanond.detect.guided import Place, any_turns, expected_turns, look_again
from faceanond.detect.networks import Answers, Pixels
from faceanond.detect.picture import Picture
from faceanond.detect.protocol import Detector, DetectRequest
from faceanond.errors import DetectionError
from faceanond.frames import Box, Expected, Face, RawFrame
from tests.detect.test_mtcnn import cells, noise, scripted, verdicts
from tests.frames_util import POSES, packaged_face, posed, raw

SCALE = 0.35
DARK = 0.25
TRACK = 7
CENTRE, SIZE = (222.0, 118.0), (84.0, 112.0)
"""The packaged face's, as O-Net has it."""
HARD = [(35, 4), (-35, 4), (40, 4), (35, 6), (-40, 6), (0, 10)]
"""Turns in degrees, and the noise's standard deviation in levels: in a quarter of the light, the cascade misses all."""
OFFSETS = [(0.15, 0.15), (-0.15, 0.15), (0.15, -0.15), (-0.15, -0.15)]


def hard(turn: float, noisy: float) -> RawFrame:
    """The packaged picture, turned about its face, small, in the dark."""
    matrix = cv2.getRotationMatrix2D(CENTRE, turn, 1)
    picture = cv2.warpAffine(packaged_face(), matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    picture = cv2.resize(picture, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(0).normal(0, noisy, picture.shape)
    return raw(np.clip(picture * DARK + grain, 0, 255).astype(np.uint8))


def place(dx: float = 0.0, dy: float = 0.0) -> Box:
    """Where its face is, off by shares of its size."""
    (x, y), (width, height) = CENTRE, SIZE
    box = Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2).moved(dx * width, dy * height)
    return Box(box.x1 * SCALE, box.y1 * SCALE, box.x2 * SCALE, box.y2 * SCALE)


def ask(detector: Detector, frame: RawFrame, *expected: Expected) -> tuple[Face, ...]:
    (answer,) = detector.detect([DetectRequest(frame, DetectOptions(), expected)])
    assert not isinstance(answer, DetectionError)
    return answer


def at_places(detector: Detector, frame: RawFrame, *boxes: Box) -> list[Face]:
    answer = ask(detector, frame, *(Expected(number, box) for number, box in enumerate(boxes)))
    return [face for face in answer if face.track is not None]


def covered(box: Box, by: Box) -> float:
    """The share of a box that another one covers."""
    width, height = min(box.x2, by.x2) - max(box.x1, by.x1), min(box.y2, by.y2) - max(box.y1, by.y1)
    return max(width, 0) * max(height, 0) / (box.width * box.height)


@pytest.mark.parametrize(("turn", "noisy"), HARD)
def test_a_face_that_the_cascade_misses_is_found_about_where_it_is_expected(
    detector: Detector, turn: float, noisy: float
) -> None:
    frame = hard(turn, noisy)
    assert detector.detect([DetectRequest(frame, DetectOptions())]) == [()], "otherwise this would show nothing"
    for offset in OFFSETS:
        [face] = at_places(detector, frame, place(*offset))
        assert face.sure
        assert face.guided
        assert covered(place(), face.box) > 0.8
        assert face.box.width < 1.5 * place().width


def test_the_turn_at_which_it_was_found_is_told_and_leads_further(detector: Detector) -> None:
    frame = hard(35, 4)
    [face] = at_places(detector, frame, place())
    assert face.turn == pytest.approx(-math.radians(35), abs=0.35), "the picture is turned back"
    [again] = [one for one in ask(detector, frame, Expected(TRACK, face.box, face.turn)) if one.track == TRACK]
    assert again.sure


def test_what_is_found_at_a_place_carries_the_number_of_its_track(detector: Detector) -> None:
    frame = hard(35, 4)
    elsewhere = Expected(3, Box(5, 100, 35, 140))
    found = [face for face in ask(detector, frame, elsewhere, Expected(TRACK, place())) if face.sure]
    assert [face.track for face in found] == [TRACK]
    assert all(face.track is None for face in ask(detector, frame) if not face.guided)


NOWHERE = Box(0, 0, 0, 0)


def grid(but: Box | None = None) -> list[Box]:
    """Places all over a picture of 512x512, but where a face is."""
    return [
        box
        for side in (30, 60, 110)
        for x in range(10, 400, 97)
        for y in range(10, 400, 97)
        if not (box := Box(x, y, x + side, y + side)).shares(but or NOWHERE)
    ]


def test_at_places_without_a_face_nothing_is_sure(detector: Detector) -> None:
    """A suit, a flag, a shuttle; and noise."""
    suit = grid(but=Box(140, 30, 300, 200))
    assert [one for one in at_places(detector, raw(packaged_face()), *suit) if one.sure] == []
    assert [one for one in at_places(detector, raw(noise(512, 512)), *grid()) if one.sure] == []


@pytest.mark.parametrize("blobs", [24, 48, 96])
def test_blobs_as_large_as_eyes_are_rarely_taken_for_a_face(detector: Detector, blobs: int) -> None:
    """The hardest texture there is: a few places in two hundred fool O-Net, which is what the tracker is there to
    put up with. The search of the whole picture finds nothing in it."""
    sure = 0
    for seed in range(3):
        cells = np.random.default_rng(seed).integers(0, 256, (blobs, blobs, 3)).astype(np.uint8)
        frame = raw(np.asarray(cv2.resize(cells, (512, 512), interpolation=cv2.INTER_LINEAR), np.uint8))
        assert detector.detect([DetectRequest(frame, DetectOptions())]) == [()]
        sure += sum(one.sure for one in at_places(detector, frame, *grid()))
    assert sure <= 0.04 * 3 * len(grid())


@pytest.mark.parametrize(
    "box",
    [
        Box(-60, -60, -20, -20),
        Box(600, 50, 640, 90),
        Box(-30, -30, 30, 30),
        Box(0, 0, 0, 0),
        Box(-500, -500, 900, 900),
        Box(100.5, 50.25, 100.75, 50.5),
    ],
)
def test_a_place_may_be_anywhere_and_of_any_size(detector: Detector, box: Box) -> None:
    for face in ask(detector, hard(0, 4), Expected(TRACK, box)):
        assert face.box.finite
        assert 0 <= face.score <= 1


def hard_requests() -> list[DetectRequest]:
    requests = [
        DetectRequest(hard(turn, noisy), DetectOptions(), (Expected(number, place(*offset)),))
        for number, ((turn, noisy), offset) in enumerate(zip(HARD, OFFSETS * 2, strict=False))
    ]
    requests += [DetectRequest(raw(posed(name)), DetectOptions(), ()) for name in list(POSES)[:4]]
    requests += [DetectRequest(raw(posed(name)), DetectOptions()) for name in list(POSES)[:2]]
    return requests


def test_the_batchs_company_changes_nothing_where_faces_are_expected(detector: Detector) -> None:
    requests = hard_requests()
    alone = [detector.detect([request])[0] for request in requests]
    assert any(face.guided for answer in alone if not isinstance(answer, DetectionError) for face in answer)
    assert detector.detect(requests) == alone
    assert detector.detect(requests[::-1]) == alone[::-1]


def test_the_other_places_of_a_frame_change_nothing_of_what_is_found_at_one(detector: Detector) -> None:
    frame = hard(35, 4)
    [alone] = at_places(detector, frame, place())
    together = at_places(detector, frame, place(), Box(5, 100, 35, 140), Box(120, 20, 150, 60))
    assert together[0] == alone


def test_without_a_tracker_all_is_as_it_was(detector: Detector) -> None:
    """Neither hints nor closer looks: and the company of frames that have them changes nothing either."""
    plain = [DetectRequest(raw(posed(name)), DetectOptions()) for name in POSES]
    alone = [detector.detect([request])[0] for request in plain]
    for answer in alone:
        assert not isinstance(answer, DetectionError)
        assert all(face.sure and not face.guided and face.track is None for face in answer)
    together = detector.detect([*hard_requests(), *plain])
    assert together[-len(plain) :] == alone


def test_with_a_tracker_no_face_is_lost_that_is_found_without(detector: Detector) -> None:
    for name in POSES:
        frame = raw(posed(name))
        (plain,) = detector.detect([DetectRequest(frame, DetectOptions())])
        assert not isinstance(plain, DetectionError)
        hinted = [face for face in ask(detector, frame) if face.sure]
        for face in plain:
            assert any(face.box.shares(other.box) > 0.7 for other in hinted)


def test_where_the_cascade_found_the_face_nobody_looks_again(detector: Detector) -> None:
    frame = raw(posed("astronaut 0.5"))
    [found] = [face for face in ask(detector, frame) if face.sure and not face.guided]
    assert at_places(detector, frame, found.box.moved(3, -2)) == []


class Counting:
    """Networks that find something nearly sure everywhere, and how many crops were looked at more closely."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.places = 0
        self.crops = 0

        def look(places: list[Place], rnet: guided.Classify, *more: object) -> list[guided.Sight]:
            self.places += len(places)

            def counted(crops: Pixels) -> Answers:
                self.crops += len(crops)
                return rnet(crops)

            return look_again(places, counted, *more)  # type: ignore[arg-type]

        monkeypatch.setattr(module, "look_again", look)


def sparse(pictures: Pixels) -> Answers:
    """P-Net's answer: something everywhere, but not so much that the picture is refused."""
    answer = cells(pictures, -9)
    answer[:, 0, ::8, ::8] = 5
    return answer


def hinting() -> Detector:
    return scripted(pnet=sparse, onet=lambda crops: verdicts(crops, 0.0))


@pytest.mark.parametrize(("size", "times"), [((100, 80), 1), ((640, 360), 1), ((1280, 720), 2)])
def test_hints_get_a_bounded_number_of_closer_looks_whatever_the_picture(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], times: int
) -> None:
    counting = Counting(monkeypatch)
    ask(hinting(), raw(noise(*size)))
    assert 0 < counting.places <= times * module._MOST_HINTS
    assert counting.crops <= counting.places * len(any_turns()) * len(guided._SIZES)


@pytest.mark.parametrize("expected", [1, 5, 20])
def test_each_expected_place_gets_one_closer_look_up_to_a_limit(monkeypatch: pytest.MonkeyPatch, expected: int) -> None:
    counting = Counting(monkeypatch)
    nothing = scripted(pnet=lambda pictures: cells(pictures, -9))
    places = [Expected(number, Box(40 * number, 20, 40 * number + 30, 60), 0.3) for number in range(expected)]
    ask(nothing, raw(noise(900, 80)), *places)
    assert counting.places == min(expected, module._MOST_LOST)
    most = len(expected_turns(0.3)) * len(guided._SIZES) * len(guided._STEPS) ** 2
    assert counting.crops <= len(places) * most


def test_whoever_has_no_tracker_costs_no_closer_look(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    hinting().detect([DetectRequest(raw(noise()), DetectOptions())])
    assert counting.places == 0


def test_heads_are_tried_upright_and_about_as_they_were_turned() -> None:
    assert expected_turns(0.0) == pytest.approx((-math.radians(18), 0.0, math.radians(18)))
    assert 0.0 in expected_turns(1.0)
    assert max(expected_turns(math.radians(74))) < math.radians(75), "nobody walks on their hands"


def test_a_plain_patch_is_looked_at_without_a_fuss() -> None:
    """Without any contrast there is nothing to restore, and nothing to divide by."""
    grey = Picture(raw(np.full((80, 100, 3), 128, np.uint8)))
    seen: list[Pixels] = []

    def network(crops: Pixels) -> Answers:
        seen.append(crops)
        return verdicts(crops, -5)

    (sight,) = look_again([Place(grey, Box(20, 20, 60, 60), (0.0,), True)], network, network, network, math.inf)
    assert sight.score == -5
    assert all(np.ptp(crops[..., :3]) <= 1 for crops in seen)


@pytest.fixture(scope="module")
def both(byte_networks: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Detector, Detector]]:
    opened = [
        open_detector(
            DetectorConfig(device="cpu", threads=1, quantised=quantised), cache=tmp_path_factory.mktemp("graphs")
        )
        for quantised in (True, False)
    ]
    yield opened[0], opened[1]
    for one in opened:
        one.close()


@pytest.mark.parametrize(("turn", "noisy"), HARD)
def test_8_bit_and_float_networks_see_the_same(both: tuple[Detector, Detector], turn: float, noisy: float) -> None:
    frame = hard(turn, noisy)
    for offset in OFFSETS:
        [ours], [theirs] = (at_places(detector, frame, place(*offset)) for detector in both)
        assert abs(ours.score - theirs.score) < 0.1
        assert ours.turn == theirs.turn
        shift = np.subtract(dataclasses.astuple(ours.box), dataclasses.astuple(theirs.box))
        assert np.abs(shift).max() < 0.15 * ours.box.width


def test_a_machine_without_kernels_looks_again_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceanond.detect.native.missing", lambda: "not here")
    portable = open_detector(DetectorConfig(device="cpu", threads=1), cache=tmp_path)
    [face] = at_places(portable, hard(35, 4), place(0.15, 0.15))
    portable.close()
    assert face.sure


def test_what_is_expected_outside_the_picture_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    nothing = scripted(pnet=lambda pictures: cells(pictures, -9))
    ask(nothing, raw(noise(200, 80)), *(Expected(1, Box(x, 20, x + 30, 60)) for x in (-31, 200, 1e9)))
    assert counting.places == 0


@pytest.mark.parametrize("noisy", [0.0, 12.0, 25.0])
@pytest.mark.parametrize("name", POSES)
def test_a_tracker_takes_no_sure_face_away(detector: Detector, name: str, noisy: float) -> None:
    """What is found without one is found with one, to the last bit, whatever else is reported."""
    picture = posed(name)
    disturbed = picture + np.random.default_rng(len(name)).normal(0, noisy, picture.shape)
    frame = raw(disturbed.clip(0, 255).astype(np.uint8))
    options = DetectOptions(min_size=20)
    (plain,) = detector.detect([DetectRequest(frame, options)])
    (tracked,) = detector.detect([DetectRequest(frame, options, ())])
    if isinstance(plain, DetectionError) or isinstance(tracked, DetectionError):
        assert isinstance(tracked, DetectionError), "too much looks like a face, then with a tracker as well"
        return
    assert set(plain) <= set(tracked)
