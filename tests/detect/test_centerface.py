from __future__ import annotations

import numpy as np
import pytest

from faceanond.detect.centerface import answer_shape, decode
from faceanond.detect.single_shot import Tensor


def answered(column: int, row: int, *numbers: float) -> Tensor:
    answer = np.zeros(answer_shape(64, 96), np.float32)
    answer[:, row, column] = numbers
    return answer


def test_there_is_an_answer_for_every_4_pixels() -> None:
    assert answer_shape(640, 320) == (5, 80, 160)


def test_a_box_lies_around_its_place() -> None:
    # Height and width come as logarithms in steps of 4 pixels, then how far the centre is down and right.
    boxes, scores = decode(answered(3, 10, 0.8, np.log(6), np.log(5), 0.25, -0.5), 64, 96, 0.5)
    assert boxes[0] == pytest.approx([12 - 10, 43 - 12, 12 + 10, 43 + 12], abs=1e-4)
    assert scores == pytest.approx([0.8])


def test_a_score_must_exceed_the_threshold() -> None:
    answer = answered(0, 0, 0.5, 0, 0, 0, 0)
    assert len(decode(answer, 64, 96, 0.5)[1]) == 0
    assert len(decode(answer, 64, 96, 0.49)[1]) == 1


def test_every_place_above_the_threshold_gives_a_box() -> None:
    answer = np.zeros(answer_shape(32, 32), np.float32)
    answer[0, 2, 5] = answer[0, 7, 0] = 0.9
    boxes, _ = decode(answer, 32, 32, 0.5)
    assert boxes.tolist() == [[20, 8, 24, 12], [0, 28, 4, 32]]
