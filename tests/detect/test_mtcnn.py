from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from faceanond.config.model import DetectOptions
from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect import native
from faceanond.detect.factory import open_detector
from faceanond.detect.mtcnn import Mtcnn
from faceanond.detect.networks import Answers, ByteNetworks, FloatNetworks, Pixels
from faceanond.detect.protocol import Detector, DetectRequest
from faceanond.errors import DetectionError
from faceanond.frames import Face
from tests.frames_util import POSES, Rgb, posed, raw

Answering = Callable[[Pixels], Answers]


class Scripted:
    """A network that answers as told."""

    most = 16

    def __init__(self, answer: Answering, side: int) -> None:
        self._answer = answer
        self._side = side

    def warm_up(self) -> None:
        self.run(np.zeros((self.most, self._side, self._side, 4), np.uint8))

    def run(self, pictures: Pixels) -> Answers:
        return self._answer(pictures)


def cells(pictures: Pixels, score: float) -> Answers:
    """P-Net's answer with the same score everywhere and no corrections."""
    count, height, width, _ = pictures.shape
    answer = np.zeros((count, 5, height // 2 - 5, width // 2 - 5), np.float32)
    answer[:, 0] = score
    return answer


def verdicts(pictures: Pixels, score: float) -> Answers:
    answer = np.zeros((len(pictures), 5), np.float32)
    answer[:, 0] = score
    return answer


def scripted(
    pnet: Answering = lambda pictures: cells(pictures, 5),
    rnet: Answering = lambda pictures: verdicts(pictures, 5),
    onet: Answering = lambda pictures: verdicts(pictures, 5),
    quick: ByteNetworks | None = None,
) -> Mtcnn:
    return Mtcnn(FloatNetworks(Scripted(pnet, 12), Scripted(rnet, 24), Scripted(onet, 48)), "cpu", quick=quick)


def never(pictures: Pixels) -> Answers:
    raise AssertionError("the float network was asked")


def noise(width: int = 100, height: int = 80) -> Rgb:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)


def detect(detector: Detector, *pictures: Rgb, options: DetectOptions | None = None) -> list[tuple[Face, ...]]:
    answers = detector.detect([DetectRequest(raw(picture), options or DetectOptions()) for picture in pictures])
    assert not any(isinstance(answer, DetectionError) for answer in answers)
    return [answer for answer in answers if not isinstance(answer, DetectionError)]


def refusals(detector: Detector, *pictures: Rgb) -> list[DetectionError | None]:
    answers = detector.detect([DetectRequest(raw(picture), DetectOptions()) for picture in pictures])
    return [answer if isinstance(answer, DetectionError) else None for answer in answers]


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
    (refused,) = refusals(scripted(rnet=never), noise(640, 480))
    assert refused is not None
    assert refused.reason == "too_many_faces"
    assert "look like a face" in str(refused)


def test_a_picture_full_of_candidates_costs_the_others_of_its_batch_nothing(detector: Detector) -> None:
    face, poster = posed("astronaut 0.5"), np.tile(posed("astronaut 0.5")[20:110, 70:150], (14, 24, 1))
    options = DetectOptions(min_size=20)
    alone = detect(detector, face, options=options)
    together = detector.detect([DetectRequest(raw(picture), options) for picture in (face, poster, face)])
    assert [together[0], together[2]] == alone * 2
    assert isinstance(together[1], DetectionError)
    assert together[1].reason == "too_many_faces"


def test_crops_go_through_in_bounded_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceanond.detect.mtcnn._MOST_PROPOSALS", 10_000)
    seen: list[int] = []

    def rnet(batch: Pixels) -> Answers:
        seen.append(len(batch))
        return verdicts(batch, -5)

    detect(scripted(rnet=rnet), noise(400, 300), noise(320, 240))
    assert max(seen) <= 16
    assert sum(seen) > 32


def corrupt(batch: Pixels, value: float, channel: int) -> Answers:
    answer = verdicts(batch, 5)
    answer[-1, channel] = value
    return answer


def corrupt_cell(batch: Pixels, value: float, channel: int) -> Answers:
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
    def failing(batch: Pixels) -> Answers:
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
        "guided": 0,
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

    def noting(name: str, answer: Callable[[Pixels, float], Answers]) -> Answering:
        def run(batch: Pixels) -> Answers:
            ran.append(name)
            return answer(batch, -5)

        return run

    scripted(noting("pnet", cells), noting("rnet", verdicts), noting("onet", verdicts)).warm_up()
    assert set(ran) == {"pnet", "rnet", "onet"}


class Quick:
    """8-bit networks that answer as told: `scores` by network."""

    def __init__(self, pnet: float = -9, rnet: float = -9, onet: float = -9) -> None:
        self._scores = {24: rnet, 48: onet}
        self._pnet = pnet

    def propose(self, picture: Pixels, threshold: float, most: int) -> tuple[Pixels, Answers]:
        found = np.array([[0, 0]] if self._pnet > threshold else np.empty((0, 2)), np.int32)
        return found, verdicts(found, self._pnet)  # type: ignore[arg-type, return-value]

    def classify(self, crops: Pixels) -> Answers:
        return verdicts(crops, self._scores[crops.shape[1]])

    @property
    def networks(self) -> ByteNetworks:
        return ByteNetworks(self, self, self)  # type: ignore[arg-type]


THRESHOLD = float(np.log(0.7 / 0.3))
"""R- and O-Net's, as log-odds."""


def test_a_clear_8_bit_rejection_is_final_and_costs_no_float_run() -> None:
    low = Quick(pnet=5, rnet=THRESHOLD - 2).networks
    assert detect(scripted(never, never, never, low), noise()) == [()]


def test_a_close_8_bit_rejection_is_decided_by_the_float_network() -> None:
    close = Quick(pnet=5, rnet=THRESHOLD - 0.5, onet=THRESHOLD - 0.5).networks
    assert detect(scripted(quick=close), noise()) != [()]
    assert detect(scripted(quick=close, rnet=lambda crops: verdicts(crops, THRESHOLD - 0.1)), noise()) == [()]
    assert detect(scripted(quick=close, onet=lambda crops: verdicts(crops, THRESHOLD - 0.1)), noise()) == [()]


def test_every_face_that_is_reported_has_the_float_networks_score_and_box() -> None:
    def onet(crops: Pixels) -> Answers:
        answer = verdicts(crops, 3.0)
        answer[:, 1] = 0.25
        return answer

    sure = Quick(pnet=5, rnet=5, onet=8).networks
    (faces,) = detect(scripted(onet=onet, quick=sure), noise())
    assert faces
    for face in faces:
        assert face.score == pytest.approx(1 / (1 + np.exp(-3.0)))
        assert face.box.width == pytest.approx(0.75 * face.box.height)


def test_when_the_float_network_refuses_the_best_the_next_best_is_asked() -> None:
    """One face, several crops of it: the 8-bit O-Net likes them all, the float one only the last that is asked."""
    asked: list[int] = []

    def onet(crops: Pixels) -> Answers:
        asked.append(len(crops))
        return verdicts(crops, 4.0 if sum(asked) >= 4 else -4.0)

    picture = posed("astronaut 0.5")
    options = DetectOptions(network_thresholds=(0.6, 0.7, 0.7))
    sure = Quick(pnet=5, rnet=5, onet=8).networks
    (faces,) = detect(scripted(onet=onet, quick=sure), picture, options=options)
    assert len(asked) > 1
    assert all(face.score == pytest.approx(1 / (1 + np.exp(-4.0))) for face in faces)
    assert faces


def test_several_threads_find_what_one_finds(tmp_path: Path) -> None:
    pictures = [posed(name) for name in POSES]
    found = []
    for threads in (1, 3):
        opened = open_detector(DetectorConfig(device="cpu", threads=threads), cache=tmp_path)
        found.append(detect(opened, *pictures))
        opened.close()
    assert found[0] == found[1]


def test_the_float_networks_find_the_same_faces(byte_networks: None, detector: Detector, tmp_path: Path) -> None:
    exact = open_detector(DetectorConfig(device="cpu", threads=1, quantised=False), cache=tmp_path)
    for name in POSES:
        (ours,), (theirs,) = detect(detector, posed(name)), detect(exact, posed(name))
        assert len(ours) == len(theirs)
        for face, other in zip(ours, theirs, strict=True):
            assert abs(face.score - other.score) < 0.05
            shift = np.subtract(dataclasses.astuple(face.box), dataclasses.astuple(other.box))
            assert np.abs(shift).max() < 0.1 * face.box.width
    exact.close()


def test_a_cpu_without_the_instructions_finds_what_the_float_networks_find(
    kernels: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [posed(name) for name in POSES]
    exact = open_detector(DetectorConfig(device="cpu", threads=1, quantised=False), cache=tmp_path)
    expected = detect(exact, *pictures)
    exact.close()
    monkeypatch.setattr(native, "networks_missing", lambda: "too old")
    monkeypatch.setattr(native, "variants", lambda: ("plain",))
    with capture_logs() as logs:
        portable = open_detector(DetectorConfig(device="cpu", threads=1), cache=tmp_path)
    assert [line["reason"] for line in logs if line["log_level"] == "warning"] == ["too old"]
    assert detect(portable, *pictures) == expected
    portable.close()


def test_a_machine_without_the_kernels_finds_the_same_faces(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where the edge cuts the face in half, it is a close call for what OpenCV draws.
    pictures = [posed(name) for name in POSES if "edge" not in name]
    expected = detect(detector, *pictures)
    monkeypatch.setattr(native, "missing", lambda: "not here")
    with capture_logs() as logs:
        portable = open_detector(DetectorConfig(device="cpu", threads=1), cache=tmp_path)
    assert [line["reason"] for line in logs if line["log_level"] == "warning"] == ["not here"]
    for ours, theirs in zip(detect(portable, *pictures), expected, strict=True):
        assert len(ours) == len(theirs)
        for face, other in zip(ours, theirs, strict=True):
            assert abs(face.score - other.score) < 0.1
            shift = np.subtract(dataclasses.astuple(face.box), dataclasses.astuple(other.box))
            assert np.abs(shift).max() < 0.1 * face.box.width
    portable.close()
