from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from faceanond.config.model import DetectOptions
from faceanond.detect import mtcnn
from faceanond.detect.mtcnn import Mtcnn, Networks, Tensor
from faceanond.detect.protocol import Detector, DetectRequest
from faceanond.errors import DetectionError
from faceanond.frames import Face
from tests.frames_util import POSES, Rgb, posed, raw


class Scripted:
    """A network that answers as told."""

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        self._answer = answer

    def run(self, batch: Tensor) -> Tensor:
        return self._answer(batch)


def cells(batch: Tensor, score: float) -> Tensor:
    """P-Net's answer with the same score everywhere and no corrections."""
    _, _, height, width = batch.shape
    answer = np.zeros((len(batch), 5, (height - 1) // 2 - 4, (width - 1) // 2 - 4), np.float32)
    answer[:, 0] = score
    return answer


def verdicts(batch: Tensor, score: float) -> Tensor:
    answer = np.zeros((len(batch), 5), np.float32)
    answer[:, 0] = score
    return answer


def scripted(
    pnet: Callable[[Tensor], Tensor] = lambda batch: cells(batch, 5),
    rnet: Callable[[Tensor], Tensor] = lambda batch: verdicts(batch, 5),
    onet: Callable[[Tensor], Tensor] = lambda batch: verdicts(batch, 5),
) -> Mtcnn:
    return Mtcnn(Networks(Scripted(pnet), Scripted(rnet), Scripted(onet)), "cpu")


def noise(width: int = 100, height: int = 80) -> Rgb:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)


def detect(detector: Detector, *pictures: Rgb, options: DetectOptions | None = None) -> list[tuple[Face, ...]]:
    return detector.detect([DetectRequest(raw(picture), options or DetectOptions()) for picture in pictures])


def test_the_packaged_face_is_found(detector: Detector) -> None:
    ((face,),) = detect(detector, posed("astronaut 1.0"))
    assert face.score > 0.99
    assert abs(face.box.x1 - 175) < 20
    assert abs(face.box.y2 - 190) < 25


def test_the_batchs_company_changes_nothing(detector: Detector) -> None:
    pictures = [posed(name) for name in POSES]
    alone = [detect(detector, picture)[0] for picture in pictures]
    assert detect(detector, *pictures) == alone
    assert detect(detector, *reversed(pictures)) == alone[::-1]
    assert detect(detector, *pictures[:1] * 5) == alone[:1] * 5


def test_each_frame_is_judged_by_its_own_options(detector: Detector) -> None:
    picture = posed("astronaut 0.5")
    requests = [
        DetectRequest(raw(picture), DetectOptions()),
        DetectRequest(raw(picture), DetectOptions(min_size=120)),
        DetectRequest(raw(picture), DetectOptions(score_threshold=1.0)),
        DetectRequest(raw(picture), DetectOptions(network_thresholds=(0.6, 1.0, 0.7))),
    ]
    assert [len(faces) for faces in detector.detect(requests)] == [1, 0, 0, 0]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (11, 11), (12, 600), (40, 40), (39, 1000)])
def test_a_frame_too_small_for_a_face_is_empty(detector: Detector, size: tuple[int, int]) -> None:
    assert detect(detector, noise(*size)) == [()]


def test_the_smallest_sizes_with_a_level_work(detector: Detector) -> None:
    assert detect(detector, noise(41, 41)) == [()]
    detector.detect([DetectRequest(raw(noise(13, 13)), DetectOptions(min_size=12))])


def test_no_frames_give_no_answers(detector: Detector) -> None:
    assert detector.detect([]) == []


def test_plain_grey_holds_no_face(detector: Detector) -> None:
    assert detect(detector, np.full((300, 400, 3), 128, np.uint8)) == [()]


def test_a_score_at_the_threshold_is_not_enough() -> None:
    half = DetectOptions(network_thresholds=(0.5, 0.5, 0.5), score_threshold=0.5)
    at = scripted(onet=lambda batch: verdicts(batch, 0.0))
    above = scripted(onet=lambda batch: verdicts(batch, 1e-6))
    assert detect(at, noise(), options=half) == [()]
    assert detect(above, noise(), options=half) != [()]


def test_the_score_is_the_probability() -> None:
    ((face, *_),) = detect(scripted(onet=lambda batch: verdicts(batch, 2.0)), noise())
    assert face.score == pytest.approx(1 / (1 + np.exp(-2.0)))


def test_the_score_threshold_counts_on_top_of_the_networks_own() -> None:
    scoring_08 = scripted(onet=lambda batch: verdicts(batch, np.log(4)))
    assert detect(scoring_08, noise(), options=DetectOptions(score_threshold=0.79)) != [()]
    assert detect(scoring_08, noise(), options=DetectOptions(score_threshold=0.81)) == [()]


def test_a_picture_full_of_candidates_is_refused_before_it_costs_everybody_time() -> None:
    def rnet(batch: Tensor) -> Tensor:
        raise AssertionError("the crops were looked at")

    with pytest.raises(DetectionError, match="look like a face") as caught:
        detect(scripted(rnet=rnet), noise(640, 480))
    assert caught.value.reason == "too_many_faces"


def test_crops_go_through_in_bounded_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceanond.detect.mtcnn._MOST_PROPOSALS", 10_000)
    seen: list[int] = []

    def rnet(batch: Tensor) -> Tensor:
        seen.append(len(batch))
        return verdicts(batch, -5)

    detect(scripted(rnet=rnet), noise(400, 300), noise(640, 480))
    assert max(seen) <= 16
    assert sum(seen) > 32


@pytest.mark.parametrize("pixels", [1, 4_000, 9_999, 20_000])
def test_a_level_too_large_for_one_run_gives_the_same_in_strips(
    detector: Detector, pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [posed("astronaut 0.5"), posed("astronaut 0.9 odd size")]
    whole = detect(detector, *pictures)
    monkeypatch.setattr(mtcnn, "_STACK_PIXELS", pixels)
    assert detect(detector, *pictures) == whole


def corrupt(batch: Tensor, value: float, channel: int) -> Tensor:
    answer = verdicts(batch, 5)
    answer[-1, channel] = value
    return answer


def corrupt_cell(batch: Tensor, value: float, channel: int) -> Tensor:
    answer = cells(batch, -5)
    answer[-1, channel, 0, 0] = value
    return answer


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channel", [0, 3])
@pytest.mark.parametrize("stage", ["pnet", "rnet", "onet"])
def test_one_number_that_is_not_finite_makes_the_batch_unbelievable(value: float, channel: int, stage: str) -> None:
    make = corrupt_cell if stage == "pnet" else corrupt
    broken = scripted(**{stage: lambda batch: make(batch, value, channel)})
    with pytest.raises(DetectionError) as caught:
        detect(broken, noise())
    assert caught.value.reason == "nan"


@pytest.mark.parametrize("stage", ["pnet", "rnet", "onet"])
def test_a_wrong_shape_makes_the_batch_unbelievable(stage: str) -> None:
    make = cells if stage == "pnet" else verdicts
    broken = scripted(**{stage: lambda batch: make(batch, -5)[:, :4]})
    with pytest.raises(DetectionError) as caught:
        detect(broken, noise())
    assert caught.value.reason == "shape"


def test_a_failing_network_is_not_hidden() -> None:
    def failing(batch: Tensor) -> Tensor:
        raise DetectionError("detector_failed", "R-Net failed: out of memory")

    with pytest.raises(DetectionError, match="out of memory"):
        detect(scripted(rnet=failing), noise())


def test_the_time_of_each_stage_is_kept() -> None:
    detector = scripted()
    detect(detector, noise())
    detect(detector, noise(), noise())
    assert {stage: seconds.count for stage, seconds in detector.stage_seconds().items()} == {
        "pnet": 2,
        "rnet": 2,
        "onet": 2,
        "total": 2,
    }


def test_after_closing_it_answers_no_more(detector: Detector) -> None:
    closed = scripted()
    closed.close()
    with pytest.raises(DetectionError) as caught:
        detect(closed, noise())
    assert caught.value.reason == "closed"


def test_warming_up_runs_every_network() -> None:
    ran: list[str] = []

    def noting(name: str, answer: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor], Tensor]:
        def run(batch: Tensor) -> Tensor:
            ran.append(name)
            return answer(batch, -5)

        return run

    scripted(noting("pnet", cells), noting("rnet", verdicts), noting("onet", verdicts)).warm_up()
    assert set(ran) == {"pnet", "rnet", "onet"}
