from __future__ import annotations

import pytest

from faceanond.config.model import DetectOptions
from faceanond.detect.cost import CROPS, cost
from faceanond.detect.pyramid import levels

SIZES = [(640, 360), (1280, 720), (1920, 1080), (3840, 2160), (720, 1280)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("min_size", [20, 40, 80])
@pytest.mark.parametrize("factor", [0.5, 0.709, 0.9])
def test_the_estimate_is_the_pyramids_size(size: tuple[int, int], min_size: int, factor: float) -> None:
    pixels = sum(level.width * level.height for level in levels(*size, min_size, factor))
    options = DetectOptions(min_size=min_size, scale_factor=factor)
    assert cost(size, options) - CROPS == pytest.approx(pixels, rel=0.05)


def test_a_larger_picture_costs_more_and_a_larger_smallest_face_less() -> None:
    usual = cost((1280, 720), DetectOptions())
    assert cost((1920, 1080), DetectOptions()) > usual
    assert cost((1280, 720), DetectOptions(min_size=80)) < usual


def test_no_picture_is_free() -> None:
    assert cost((1, 1), DetectOptions()) == CROPS
