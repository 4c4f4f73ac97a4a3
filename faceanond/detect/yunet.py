"""YuNet (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023), as published in OpenCV's model zoo.

Input BGR in 0..255. At each place of three grids, 8, 16 and 32 pixels apart: the class score and the objectness (whose
geometric mean is the score), the centre's offset in steps, and the logarithm of width and height in steps. Five
landmarks come as well; nothing here uses them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from faceanond.detect.boxes import Boxes, Scores
from faceanond.detect.onnx_file import Output, Signature
from faceanond.detect.single_shot import Family, Tensor

STEPS = (8, 16, 32)
"""Pixels between neighbouring places."""
_FEATURES = 6


def answer_shape(width: int, height: int) -> tuple[int, ...]:
    """(places, 6): class, objectness, x, y, width, height; grid after grid, row by row."""
    return sum((width // step) * (height // step) for step in STEPS), _FEATURES


def decode(answer: Tensor, width: int, height: int, threshold: float) -> tuple[Boxes, Scores]:
    """The boxes above the threshold in pixels of the network's picture, and their scores."""
    scores = np.sqrt(np.clip(answer[:, 0], 0, 1) * np.clip(answer[:, 1], 0, 1))
    above = np.flatnonzero(scores > threshold)
    x, y, step = (part[above] for part in _places(width, height))
    numbers = answer[above, 2:].astype(np.float64)
    centre_x, centre_y = (x + numbers[:, 0]) * step, (y + numbers[:, 1]) * step
    half_width, half_height = np.exp(numbers[:, 2]) * step / 2, np.exp(numbers[:, 3]) * step / 2
    boxes = np.stack(
        [centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height], axis=1
    )
    return boxes, scores[above].astype(np.float64)


@lru_cache(maxsize=64)  # a fleet has few picture sizes
def _places(width: int, height: int) -> tuple[Scores, Scores, Scores]:
    """Column, row and step of each place; shared, so not to be written to."""
    x, y, steps = [], [], []
    for step in STEPS:
        rows, columns = np.indices((height // step, width // step), dtype=np.float64)
        x.append(columns.reshape(-1))
        y.append(rows.reshape(-1))
        steps.append(np.full(rows.size, step, np.float64))
    return np.concatenate(x), np.concatenate(y), np.concatenate(steps)


YUNET = Family(
    name="yunet",
    signature=Signature(
        input="input",
        groups=tuple((Output(f"cls_{step}", 1), Output(f"obj_{step}", 1), Output(f"bbox_{step}", 4)) for step in STEPS),
        rank=3,
        features_axis=2,
    ),
    blue_first=True,
    even=0.55,
    answer_shape=answer_shape,
    decode=decode,
)
