from __future__ import annotations

import pytest

from faceanond.anonymise.lettering import GROUND, LETTERS, lettered, paste
from faceanond.anonymise.planes import Planes


@pytest.mark.parametrize("size", [10, 13, 40])
@pytest.mark.parametrize("text", ["", "a", "no signal since 12:03:04 UTC"])
def test_lettering_has_even_sides_and_cannot_be_changed(text: str, size: int) -> None:
    letters = lettered(text, size)

    assert letters.shape[0] % 2 == letters.shape[1] % 2 == 0
    assert not letters.flags.writeable
    assert letters[0, 0] == GROUND


def test_letters_are_light_on_dark() -> None:
    letters = lettered("lobby", 30)

    assert letters.max() == LETTERS
    assert (letters == GROUND).mean() > 0.5


def test_letters_that_the_font_lacks_become_question_marks() -> None:
    assert (lettered("caf\u00e9\n", 20) == lettered("caf??", 20)).all()


@pytest.mark.parametrize(("left", "top"), [(0, 0), (10, 6), (28, 18), (400, 0), (0, 400)])
def test_lettering_is_cut_at_the_pictures_edge(left: int, top: int) -> None:
    planes = Planes.filled(30, 20, luma=100)
    planes.u[:] = 50

    paste(planes, lettered("a long text", 14), left, top)

    assert (planes.y[:top] == 100).all()
    assert (planes.y[:, :left] == 100).all()
    assert (planes.u[: top // 2] == 50).all()
    if left < 30 and top < 20:
        assert planes.y[top, left] == GROUND
        assert planes.u[top // 2, left // 2] == 128
