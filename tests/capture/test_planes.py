"""Decoded pictures as planes."""

import av
import numpy as np
import pytest

from faceanond.capture.planes import PlaneMaker, matrix_of, quarter_turns
from faceanond.frames import ColourMatrix
from tests.capture.clips import pattern

TOLERANCE = 6


def rgb(picture, x: int, y: int) -> tuple[float, float, float]:
    kr, kb = (0.2126, 0.0722) if picture.matrix is ColourMatrix.BT709 else (0.299, 0.114)
    luma = float(picture.y[y, x])
    u, v = float(picture.u[y // 2, x // 2]) - 128, float(picture.v[y // 2, x // 2]) - 128
    if not picture.full_range:
        luma, u, v = (luma - 16) * 255 / 219, u * 255 / 224, v * 255 / 224
    red, blue = luma + 2 * (1 - kr) * v, luma + 2 * (1 - kb) * u
    return red, (luma - kr * red - kb * blue) / (1 - kr - kb), blue


def frame(
    pixels: str, size: tuple[int, int] = (64, 48), *, full: bool = False, matrix: str = "ITU601"
) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(pattern(*size), "rgb24")
    if pixels == "rgb24":
        return picture
    return picture.reformat(format=pixels, dst_colorspace=matrix, dst_color_range="JPEG" if full else "MPEG")


FORMATS = [
    "yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p12le", "nv12", "nv21", "p010le",
    "yuyv422", "uyvy422", "rgb24", "bgr24", "bgr0", "rgba", "gbrp", "yuv411p", "yuv440p",
]  # fmt: skip


@pytest.mark.parametrize("pixels", FORMATS)
def test_every_format_keeps_its_colours(pixels: str) -> None:
    picture = PlaneMaker().picture(frame(pixels))
    for place, expected in {(16, 12): (200, 40, 40), (48, 12): (40, 180, 40), (16, 36): (40, 40, 200)}.items():
        assert rgb(picture, *place) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("pixels", ["yuvj420p", "yuvj422p", "yuvj444p", "yuv420p", "yuv444p"])
def test_full_range_stays_full_range(pixels: str) -> None:
    picture = PlaneMaker().picture(frame(pixels, full=True))
    assert picture.full_range
    assert rgb(picture, 16, 12) == pytest.approx((200, 40, 40), abs=TOLERANCE)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "rgb24"])
@pytest.mark.parametrize("size", [(321, 241), (63, 47), (33, 16)])
def test_odd_sizes_keep_their_last_column_and_row(pixels: str, size: tuple[int, int]) -> None:
    picture = PlaneMaker().picture(frame(pixels, size))
    width, height = size
    assert picture.y.shape == (height, width)
    assert picture.u.shape == picture.v.shape == ((height + 1) // 2, (width + 1) // 2)
    assert rgb(picture, width - 1, 2) == pytest.approx((40, 180, 40), abs=TOLERANCE)


def test_yuv420p_is_wrapped_without_copying_and_cannot_be_written() -> None:
    decoded = frame("yuv420p", (100, 60))
    picture = PlaneMaker().picture(decoded)
    assert picture.owner is decoded
    assert picture.y.__array_interface__["data"][0] == decoded.planes[0].buffer_ptr
    with pytest.raises(ValueError, match="read-only"):
        picture.y[0, 0] = 1


def test_the_planes_keep_the_decoders_memory_alive() -> None:
    pictures = [PlaneMaker().picture(frame("yuv420p", (640, 480))).y for _ in range(20)]
    assert {int(plane[10, 10]) for plane in pictures} == {int(pictures[0][10, 10])}


def test_grey_has_no_colour() -> None:
    grey = av.VideoFrame.from_ndarray(np.full((48, 65), 77, np.uint8), "gray")
    picture = PlaneMaker().picture(grey)
    assert rgb(picture, 64, 47) == pytest.approx((77, 77, 77))
    assert picture.u.shape == (24, 33)


def test_untagged_video_is_bt709_from_720_lines_on() -> None:
    assert matrix_of(2, 719) is ColourMatrix.BT601
    assert matrix_of(2, 720) is ColourMatrix.BT709


def test_tags_win_over_the_height() -> None:
    assert matrix_of(1, 240) is ColourMatrix.BT709
    assert matrix_of(6, 1080) is ColourMatrix.BT601
    assert matrix_of(9, 240) is ColourMatrix.BT709


def test_bt709_survives_a_conversion() -> None:
    picture = PlaneMaker().picture(frame("yuv444p", matrix="ITU709"))
    assert picture.matrix is ColourMatrix.BT709
    assert rgb(picture, 16, 12) == pytest.approx((200, 40, 40), abs=TOLERANCE)


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, 1), (-90, 3), (180, 2), (-180, 2), (88, 1), (30, 0)])
def test_rotation_is_by_quarter_turns(degrees: int, turns: int) -> None:
    assert quarter_turns(degrees) == turns
