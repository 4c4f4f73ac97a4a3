"""CenterFace (Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019).

Input RGB in 0..255. At each place of a grid 4 pixels apart: how likely a face's centre is there (the score), the
logarithm of height and width in steps, and the centre's offset from the place's middle, down and right, in steps. Five
landmarks come as well; nothing here uses them.
"""

from __future__ import annotations

import numpy as np

from faceanond.detect.boxes import Boxes, Scores
from faceanond.detect.onnx_file import Output, Signature
from faceanond.detect.single_shot import Family, Tensor

STEP = 4
"""Pixels between neighbouring places."""
_FEATURES = 5


def answer_shape(width: int, height: int) -> tuple[int, ...]:
    """(5, rows, columns): score, height, width, offset down, offset right."""
    return _FEATURES, height // STEP, width // STEP


def decode(answer: Tensor, width: int, height: int, threshold: float) -> tuple[Boxes, Scores]:
    """The boxes above the threshold in pixels of the network's picture, and their scores."""
    del width, height  # the answer has the grid's shape
    rows, columns = np.nonzero(answer[0] > threshold)
    scores, tall, wide, down, right = answer[:, rows, columns].astype(np.float64)
    half_height, half_width = np.exp(tall) * STEP / 2, np.exp(wide) * STEP / 2
    centre_x, centre_y = (columns + right + 0.5) * STEP, (rows + down + 0.5) * STEP
    boxes = np.stack(
        [centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height], axis=1
    )
    return boxes, scores


CENTERFACE = Family(
    name="centerface",
    signature=Signature(
        input="input.1",
        groups=((Output("537", 1), Output("538", 2), Output("539", 2)),),
        rank=4,
        features_axis=1,
    ),
    blue_first=False,
    even=0.35,
    answer_shape=answer_shape,
    decode=decode,
)
