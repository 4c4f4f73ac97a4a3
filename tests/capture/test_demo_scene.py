"""Drawing the demo."""

import numpy as np
import pytest

from faceanond.capture.demo_scene import FACE_HEIGHT, Layout, Patch, Room, paste, scale_of, size_step, sprite, to_patch


def canvas(width: int, height: int, value: int = 100) -> Patch:
    half = ((height + 1) // 2, (width + 1) // 2)
    return Patch(
        np.full((height, width), value, np.uint8), np.full(half, value, np.uint8), np.full(half, value, np.uint8)
    )


@pytest.mark.parametrize("hd", [False, True])
@pytest.mark.parametrize(("bgr", "expected"), [((0, 0, 0), (16, 128, 128)), ((255, 255, 255), (235, 128, 128))])
def test_black_and_white_have_limited_range(bgr, expected, hd: bool) -> None:
    patch = to_patch(np.full((4, 4, 3), bgr, np.uint8), hd=hd)
    assert (patch.y[0, 0], patch.u[0, 0], patch.v[0, 0]) == expected


def test_red_has_the_values_of_bt601() -> None:
    patch = to_patch(np.full((4, 4, 3), (0, 0, 255), np.uint8), hd=False)
    assert (patch.y[0, 0], patch.u[0, 0], patch.v[0, 0]) == (81, 90, 240)


@pytest.mark.parametrize("height", [60, 100, 150, 200])
def test_a_size_step_gives_nearly_that_height(height: int) -> None:
    assert scale_of(size_step(height)) * FACE_HEIGHT == pytest.approx(height, rel=0.011)


def test_outside_of_the_figure_the_ground_stays() -> None:
    figure = sprite(size_step(100), False)
    ground = canvas(600, 600)
    paste(ground, figure, 100, 100, 600)
    assert ground.y[:100].min() == ground.y[:100].max() == 100
    assert ground.y[100, 100] == 100
    assert ground.y[100:300, 100:400].std() > 20


def test_nothing_is_painted_below_the_floor() -> None:
    ground = canvas(600, 600)
    paste(ground, sprite(size_step(100), False), 100, 100, 200)
    assert ground.y[200:].min() == ground.y[200:].max() == 100
    assert ground.u[100:].min() == ground.u[100:].max() == 100


@pytest.mark.parametrize("place", [(-1000, 0), (1000, 0), (0, -1000), (0, 1000), (-150, -50), (500, 20)])
@pytest.mark.parametrize("size", [(321, 241), (320, 240)])
def test_a_figure_may_be_anywhere(place: tuple[int, int], size: tuple[int, int]) -> None:
    ground = canvas(*size)
    paste(ground, sprite(size_step(100), False), *place, 200)
    assert ground.y.shape == size[::-1]


@pytest.mark.parametrize("size", [(160, 120), (321, 241), (1920, 1080)])
def test_the_layout_is_even_and_inside(size: tuple[int, int]) -> None:
    layout = Layout(*size)
    numbers = (layout.eyes, layout.counter, *layout.window, layout.clock[0], layout.clock[1])
    assert all(number % 2 == 0 for number in numbers)
    assert layout.eyes < layout.counter < size[1]
    assert layout.window[3] < layout.counter


def test_the_clock_and_the_view_move_and_the_rest_does_not() -> None:
    room = Room(640, 360, hd=False)
    one, other = canvas(640, 360), canvas(640, 360)
    room.paint(one, 0.0)
    room.paint(other, 7.0)
    layout = Layout(640, 360)
    changed = np.argwhere(one.y != other.y)
    left, top, right, bottom = layout.window
    x, y, radius = layout.clock
    in_window = (changed[:, 0] >= top) & (changed[:, 0] < bottom) & (changed[:, 1] >= left) & (changed[:, 1] < right)
    in_clock = (np.abs(changed[:, 0] - y) <= radius) & (np.abs(changed[:, 1] - x) <= radius)
    assert in_window.any()
    assert in_clock.any()
    assert (in_window | in_clock).all()
