"""What all single-shot detectors share, with a network under the tests' control: it answers with a score and a box per
32x32 pixels, the mean red of those pixels being the score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from faceanond.config.model import DetectOptions
from faceanond.detect import single_shot
from faceanond.detect.boxes import Boxes, Scores
from faceanond.detect.onnx_file import Output, Signature
from faceanond.detect.protocol import DetectRequest
from faceanond.detect.single_shot import Family, SingleShot, Tensor, prove
from faceanond.errors import DetectionError, UnavailableError
from faceanond.frames import Face
from tests.frames_util import Rgb, raw

SIDE = 32


def answer_shape(width: int, height: int) -> tuple[int, ...]:
    return height // SIDE, width // SIDE


def decode(answer: Tensor, width: int, height: int, threshold: float) -> tuple[Boxes, Scores]:
    rows, columns = np.nonzero(answer > threshold)
    corners = np.stack([columns, rows, columns + 1, rows + 1], axis=1) * float(SIDE)
    return corners, answer[rows, columns].astype(np.float64)


def redness(batch: Tensor) -> Tensor:
    count, _, height, width = batch.shape
    red = batch[:, 0].reshape(count, height // SIDE, SIDE, width // SIDE, SIDE)
    return np.asarray(red.mean(axis=(2, 4)) / 255, np.float32)


class Scripted:
    """A network that answers as told and remembers what it was given."""

    def __init__(self, answer: Callable[[Tensor], Tensor] = redness) -> None:
        self._answer = answer
        self.batches: list[Tensor] = []

    def run(self, batch: Tensor) -> Tensor:
        self.batches.append(batch)
        return self._answer(batch)


def family(*, blue_first: bool = False, even: float = 0.7) -> Family:
    signature = Signature(input="x", groups=((Output("y", 1),),), rank=3, features_axis=1)
    return Family("squares", signature, blue_first, even, answer_shape, decode)


def made(answer: Callable[[Tensor], Tensor] = redness, *, even: float = 0.7) -> SingleShot:
    return SingleShot(family(even=even), Scripted(answer), "cpu")


PLAIN = DetectOptions(min_size=12, score_threshold=0.5)


def detect(detector: SingleShot, *pictures: Rgb, options: DetectOptions = PLAIN) -> list[tuple[Face, ...]]:
    return detector.detect([DetectRequest(raw(picture), options) for picture in pictures])


def grey(width: int = 128, height: int = 96) -> Rgb:
    return np.full((height, width, 3), 60, np.uint8)


def with_square(column: int, row: int, *, red: int = 230) -> Rgb:
    picture = grey()
    picture[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = (red, 20, 20)
    return picture


def test_a_box_is_told_in_pixels_of_the_frame() -> None:
    ((face,),) = detect(made(), with_square(1, 2))
    assert (face.box.x1, face.box.y1, face.box.x2, face.box.y2) == (32, 64, 64, 96)
    assert face.score == pytest.approx(230 / 255, abs=0.02)


def test_a_picture_that_was_made_smaller_gives_boxes_in_its_own_pixels() -> None:
    large = np.kron(with_square(1, 2), np.ones((2, 2, 1), np.uint8))
    ((face,),) = detect(made(), large, options=DetectOptions(min_size=32, score_threshold=0.5))
    assert (face.box.x1, face.box.y1, face.box.x2, face.box.y2) == (64, 128, 128, 192)


def test_the_network_sees_red_green_and_blue_in_its_own_order() -> None:
    for blue_first in (False, True):
        network = Scripted()
        detector = SingleShot(family(blue_first=blue_first), network, "cpu")
        detect(detector, np.full((64, 64, 3), (200, 100, 50), np.uint8))
        colour = network.batches[0][0, :, 10, 10]
        assert colour == pytest.approx([50, 100, 200] if blue_first else [200, 100, 50], abs=3)


def test_what_fills_up_the_picture_is_black() -> None:
    network = Scripted()
    detect(SingleShot(family(), network, "cpu"), np.full((50, 70, 3), 255, np.uint8))
    (picture,) = network.batches[0]
    assert picture.shape == (3, 64, 96)
    assert (picture[:, :50, :70] > 250).all()
    assert not picture[:, 50:].any()
    assert not picture[:, :, 70:].any()


def test_a_box_beyond_the_frame_is_no_face() -> None:
    everywhere = made(lambda batch: np.ones((len(batch), *answer_shape(*batch.shape[:1:-1])), np.float32))
    ((face,),) = detect(everywhere, grey(32, 20))
    assert (face.box.x2, face.box.y2) == (32, 32)


def test_frames_of_equal_size_share_a_run_and_others_do_not() -> None:
    network = Scripted()
    detector = SingleShot(family(), network, "cpu")
    found = detect(detector, with_square(0, 0), grey(200, 200), with_square(3, 2), grey())
    assert sorted(len(batch) for batch in network.batches) == [1, 3]
    assert [[(face.box.x1, face.box.y1) for face in faces] for faces in found] == [[(0, 0)], [], [(96, 64)], []]


def test_the_batchs_company_changes_nothing() -> None:
    pictures = [with_square(0, 0), grey(200, 130), with_square(3, 2, red=150), grey(300, 400), with_square(2, 1)]
    alone = [detect(made(), picture)[0] for picture in pictures]
    assert detect(made(), *pictures) == alone
    assert detect(made(), *reversed(pictures)) == alone[::-1]


def test_runs_stay_small_however_many_frames_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Scripted()
    pictures = [with_square(index % 4, 0) for index in range(9)]
    whole = detect(made(), *pictures)
    monkeypatch.setitem(single_shot._STACK_PIXELS, "cpu", 4 * 128 * 96)
    assert detect(SingleShot(family(), network, "cpu"), *pictures) == whole
    assert [len(batch) for batch in network.batches] == [4, 4, 1]


def test_a_large_face_is_found_at_a_second_look() -> None:
    network = Scripted()
    picture = np.zeros((512, 512, 3), np.uint8)
    picture[:256, 256:] = (255, 0, 0)
    ((*faces,),) = detect(SingleShot(family(), network, "cpu"), picture)
    assert [batch.shape[2:] for batch in network.batches] == [(512, 512), (128, 128)]
    assert max(face.box.width for face in faces) == 128


def test_each_frame_is_judged_by_its_own_options() -> None:
    picture = with_square(1, 1, red=150)
    requests = [DetectRequest(raw(picture), PLAIN.model_copy(update=update))
                for update in ({}, {"score_threshold": 0.65}, {"min_size": 96})]  # fmt: skip
    assert [len(faces) for faces in made().detect(requests)] == [1, 0, 0]


def test_a_score_at_the_threshold_is_not_enough() -> None:
    half = made(lambda batch: np.full((len(batch), *answer_shape(*batch.shape[:1:-1])), 0.5, np.float32))
    assert detect(half, grey()) == [()]
    assert detect(half, grey(), options=PLAIN.model_copy(update={"score_threshold": 0.499})) != [()]


def test_scores_of_different_networks_are_brought_to_one_scale() -> None:
    strict = family(even=0.35)
    assert strict.score(np.array([0, 0.35, 1])) == pytest.approx([0, 0.7, 1])
    assert strict.own_threshold(0.7) == pytest.approx(0.35)
    assert [strict.own_threshold(bound) for bound in (0, 1)] == [0, 1]
    own = np.linspace(0, 1, 50)
    assert (np.diff(strict.score(own)) > 0).all()
    ((face,),) = detect(made(even=0.55), with_square(1, 1, red=160), options=PLAIN)
    assert face.score == pytest.approx((160 / 255) ** (np.log(0.7) / np.log(0.55)), abs=0.03)


def test_of_two_boxes_that_overlap_the_better_stays() -> None:
    def overlapping(answer: Tensor, width: int, height: int, threshold: float) -> tuple[Boxes, Scores]:
        return np.array([[0, 0, 20, 20], [2, 0, 22, 20], [60, 0, 80, 20]], np.float64), np.array([0.6, 0.9, 0.7])

    plain = family()
    twice = Family("twice", plain.signature, False, 0.7, answer_shape, overlapping)
    (faces,) = detect(SingleShot(twice, Scripted(), "cpu"), grey())
    assert [face.box.x1 for face in faces] == [2, 60]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (12, 600), (11, 11)])
def test_a_frame_too_small_for_a_face_is_empty(size: tuple[int, int]) -> None:
    assert detect(made(), grey(*size)) == [()]


def test_no_frames_give_no_answers() -> None:
    assert made().detect([]) == []


def reason_of(detector: SingleShot, *pictures: Rgb, options: DetectOptions = PLAIN) -> str:
    with pytest.raises(DetectionError) as caught:
        detect(detector, *pictures, options=options)
    return caught.value.reason


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_makes_the_batch_unbelievable(value: float) -> None:
    def broken(batch: Tensor) -> Tensor:
        answer = redness(batch)
        answer[-1, 0, 0] = value
        return answer

    assert reason_of(made(broken), grey(), grey()) == "nan"


def test_a_wrong_shape_makes_the_batch_unbelievable() -> None:
    assert reason_of(made(lambda batch: redness(batch)[:, :1]), grey()) == "shape"
    assert reason_of(made(lambda batch: redness(batch)[:1]), grey(), grey()) == "shape"


def test_a_box_that_is_not_finite_is_refused() -> None:
    def endless(answer: Tensor, width: int, height: int, threshold: float) -> tuple[Boxes, Scores]:
        return np.exp(np.full((1, 4), 1000.0)), np.array([0.9])

    absurd = Family("absurd", family().signature, False, 0.7, answer_shape, endless)
    assert reason_of(SingleShot(absurd, Scripted(), "cpu"), grey()) == "nan"


def test_a_picture_full_of_candidates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_shot, "_MOST_CANDIDATES", 11)
    full = made(lambda batch: np.ones((len(batch), *answer_shape(*batch.shape[:1:-1])), np.float32))
    (refused,) = full.detect([DetectRequest(raw(grey()), PLAIN)])
    assert isinstance(refused, DetectionError)
    assert refused.reason == "too_many_faces"


def test_a_failing_network_is_not_hidden() -> None:
    def failing(batch: Tensor) -> Tensor:
        raise DetectionError("detector_failed", "squares failed: out of memory")

    assert reason_of(made(failing), grey()) == "detector_failed"


def test_after_closing_it_answers_no_more() -> None:
    detector = made()
    detector.close()
    assert reason_of(detector, grey()) == "closed"


def test_warming_up_runs_the_network() -> None:
    network = Scripted()
    SingleShot(family(), network, "cpu").warm_up()
    assert [batch.shape for batch in network.batches] == [(1, 3, 288, 512)]


def test_the_time_is_kept() -> None:
    detector = made()
    detect(detector, grey())
    detect(detector, grey(), grey())
    assert {stage: seconds.count for stage, seconds in detector.stage_seconds().items()} == {"total": 2}


def test_a_network_is_proved_before_it_is_trusted() -> None:
    prove(family(), Scripted(), "the file")
    with pytest.raises(UnavailableError, match=r"the file is the file of another network.*shape \(1, 2, 2\)"):
        prove(family(), Scripted(lambda batch: redness(batch)[:1]), "the file")

    def failing(batch: Tensor) -> Tensor:
        raise DetectionError("detector_failed", "squares failed: no such operator")

    with pytest.raises(UnavailableError, match="the file cannot be used: squares failed: no such operator"):
        prove(family(), Scripted(failing), "the file")
