from __future__ import annotations

import math

import numpy as np
import pytest

from faceanond.detect.networks import Answers, Pixels, ask, checked, logit
from faceanond.errors import DetectionError


class Counting:
    """A network that answers with the number of the picture, and notes how many came at once."""

    most = 4

    def __init__(self) -> None:
        self.runs: list[int] = []

    def warm_up(self) -> None:
        return

    def run(self, pictures: Pixels) -> Answers:
        self.runs.append(len(pictures))
        return np.repeat(pictures[:, 0, 0, :1].astype(np.float32), 5, axis=1)[:, :, None, None]


def numbered(count: int) -> Pixels:
    pictures = np.zeros((count, 12, 12, 4), np.uint8)
    pictures[:, 0, 0, 0] = np.arange(count)
    return pictures


def test_pictures_go_through_in_parts_and_come_back_in_order() -> None:
    network = Counting()
    assert ask(network, numbered(10), "P-Net")[:, 0].tolist() == list(range(10))
    assert network.runs == [4, 4, 2]


def test_no_pictures_cost_no_run() -> None:
    network = Counting()
    assert ask(network, numbered(0), "P-Net").shape == (0, 5)
    assert network.runs == []


def test_answers_of_another_shape_or_not_finite_are_refused() -> None:
    with pytest.raises(DetectionError, match="R-Net answered with shape") as shape:
        checked(np.zeros((2, 4), np.float32), (2, 5), "R-Net")
    with pytest.raises(DetectionError, match="not finite") as nan:
        checked(np.array([[0, 1, 2, 3, np.nan]], np.float32), (1, 5), "R-Net")
    assert (shape.value.reason, nan.value.reason) == ("shape", "nan")


def test_a_probability_becomes_its_log_odds() -> None:
    assert logit(0.5) == 0
    assert logit(0.6) == pytest.approx(math.log(1.5))
    assert (logit(0.0), logit(1.0)) == (-math.inf, math.inf)
