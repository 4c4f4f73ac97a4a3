from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceanond.detect.boxes import suppressed
from faceanond.detect.onnx_file import adapted
from faceanond.detect.session import Device, Network
from faceanond.detect.single_shot import Tensor
from faceanond.detect.yunet import YUNET, answer_shape, decode
from tests.detect.networks import published
from tests.frames_util import POSES, posed


def place(step: int, column: int, row: int) -> int:
    """Where a place's numbers lie in the answer for 64x96 pixels (width, height)."""
    before = {8: 0, 16: 96, 32: 96 + 24}[step]
    return before + row * (64 // step) + column


def answered(step: int, column: int, row: int, *numbers: float) -> Tensor:
    answer = np.zeros(answer_shape(64, 96), np.float32)
    answer[place(step, column, row)] = numbers
    return answer


def test_there_is_an_answer_for_each_place_of_three_grids() -> None:
    assert answer_shape(640, 640) == (6400 + 1600 + 400, 6)


def test_a_box_lies_around_its_place() -> None:
    answer = answered(16, 1, 4, 0.9, 0.9, 0.5, 0.25, np.log(2), np.log(3))
    boxes, scores = decode(answer, 64, 96, 0.5)
    # The centre is at (1.5, 4.25) steps, the box 2 x 3 steps large.
    assert boxes[0] == pytest.approx([24 - 16, 68 - 24, 24 + 16, 68 + 24], abs=1e-4)
    assert scores == pytest.approx([0.9])


@pytest.mark.parametrize(("step", "column", "row"), [(8, 0, 0), (8, 7, 11), (16, 3, 5), (32, 0, 0), (32, 1, 2)])
def test_every_grid_has_its_own_step(step: int, column: int, row: int) -> None:
    boxes, _ = decode(answered(step, column, row, 1, 1, 0, 0, 0, 0), 64, 96, 0.5)
    x, y = column * step, row * step
    assert boxes.tolist() == [[x - step / 2, y - step / 2, x + step / 2, y + step / 2]]


def test_the_score_is_the_geometric_mean_of_class_and_objectness() -> None:
    answer = answered(8, 0, 0, 0.81, 0.25, 0, 0, 0, 0)
    assert decode(answer, 64, 96, 0.44)[1] == pytest.approx([0.45])
    assert len(decode(answer, 64, 96, 0.46)[1]) == 0


def test_numbers_just_outside_of_0_to_1_count_as_0_and_1() -> None:
    assert decode(answered(8, 0, 0, 1.0001, 1.0001, 0, 0, 0, 0), 64, 96, 0.5)[1] == pytest.approx([1])
    assert len(decode(answered(8, 0, 0, -0.1, -0.1, 0, 0, 0, 0), 64, 96, 0.0)[1]) == 0


@pytest.mark.parametrize("name", POSES)
@pytest.mark.filterwarnings("ignore")
def test_opencvs_own_detector_finds_the_same_to_a_hundredth_of_a_pixel(name: str) -> None:
    path = published("yunet")
    if path is None or not hasattr(cv2, "FaceDetectorYN"):
        pytest.skip("needs the official file of yunet, and an OpenCV with FaceDetectorYN")
    bgr = np.ascontiguousarray(posed(name)[:, :, ::-1])
    height, width = -(-bgr.shape[0] // 32) * 32, -(-bgr.shape[1] // 32) * 32
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: bgr.shape[0], : bgr.shape[1]] = bgr
    _, rows = cv2.FaceDetectorYN.create(str(path), "", (width, height), 0.5, 0.3, 5000).detect(picture)
    theirs = np.empty((0, 5)) if rows is None else np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4], rows[:, 14:]])

    network = Network("yunet", adapted(path.read_bytes(), YUNET.signature, "the file"), Device("cpu", 1))
    (answer,) = network.run(np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32))
    boxes, scores = decode(answer, width, height, 0.5)
    kept = suppressed(boxes, scores, 0.3)
    ours = np.hstack([boxes[kept], scores[kept, None]])
    assert len(ours) == len(theirs)
    in_order = [rows[np.argsort(-rows[:, 4])] for rows in (ours, theirs)]
    assert in_order[0] == pytest.approx(in_order[1], abs=0.01)
