from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.frames import ColourMatrix
from faceanond.publish.snapshot import jpeg
from tests.publish.sealed import moving, picture, sealed


def flat(y: int, u: int, v: int, matrix: ColourMatrix) -> AnonymisedFrame:
    i420 = np.full((72, 64), y, np.uint8)
    i420[48:60], i420[60:] = u, v
    return sealed(i420, matrix=matrix)


def opened(data: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.astype(np.uint8)


# Limited-range YUV of pure red by the two matrices (ITU-R BT.601 and BT.709, rounded).
@pytest.mark.parametrize(
    ("frame", "bgr"),
    [
        (flat(16, 128, 128, ColourMatrix.BT709), (0, 0, 0)),
        (flat(235, 128, 128, ColourMatrix.BT709), (255, 255, 255)),
        (flat(63, 102, 240, ColourMatrix.BT709), (0, 0, 255)),
        (flat(81, 90, 240, ColourMatrix.BT601), (0, 0, 255)),
    ],
)
def test_colours_follow_the_frames_own_matrix_and_range(frame: AnonymisedFrame, bgr: tuple[int, int, int]) -> None:
    assert np.abs(opened(jpeg(frame)).astype(int) - bgr).max() <= 6


@pytest.mark.parametrize(("width", "height"), [(64, 48), (480, 270), (2, 2)])
def test_the_size_is_the_frames_own(width: int, height: int) -> None:
    i420 = np.full((height * 3 // 2, width), 128, np.uint8)
    assert opened(jpeg(sealed(i420))).shape == (height, width, 3)


def test_quality_trades_bytes() -> None:
    assert len(jpeg(moving(0), quality=95)) > len(jpeg(moving(0), quality=20))


def test_the_file_holds_no_metadata() -> None:
    data = jpeg(moving(0))
    assert b"Exif" not in data
    assert b"\xff\xfe" not in data[:200]  # no comment segment


@pytest.mark.parametrize("impostor", [picture(0), None, "frame"])
def test_only_sealed_frames_become_pictures(impostor: Any) -> None:
    with pytest.raises(TypeError, match="only an AnonymisedFrame"):
        jpeg(impostor)
