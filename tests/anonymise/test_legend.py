from __future__ import annotations

from faceanond.anonymise.legend import draw_legend, legend_text
from faceanond.anonymise.planes import Planes


def test_a_legend_tells_the_fields_in_their_order() -> None:
    text = legend_text(("name", "time", "fps"), camera="lobby", fps=24.96, wall=1_700_000_000)

    assert text == "lobby  2023-11-14 22:13:20 UTC  25.0 fps"


def test_an_unknown_rate_is_left_out() -> None:
    assert legend_text(("fps",), camera="lobby", fps=0.0, wall=0) == ""
    assert legend_text(("fps", "name"), camera="lobby", fps=0.0, wall=0) == "lobby"


def test_an_empty_legend_draws_nothing() -> None:
    planes = Planes.filled(64, 48, luma=100)

    draw_legend(planes, "")

    assert (planes.y == 100).all()


def test_a_legend_is_small_and_in_the_upper_left_corner() -> None:
    planes = Planes.filled(640, 360, luma=100)

    draw_legend(planes, "25.0 fps")

    assert (planes.y[:40, :120] != 100).any()
    assert (planes.y[40:] == 100).all()
    assert (planes.y[:, 120:] == 100).all()


def test_a_legend_fits_into_the_smallest_picture() -> None:
    planes = Planes.filled(2, 2, luma=100)

    draw_legend(planes, "25.0 fps")

    assert planes.y.shape == (2, 2)
