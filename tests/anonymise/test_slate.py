from __future__ import annotations

import pytest

from faceanond.anonymise.lettering import GROUND
from faceanond.anonymise.slate import slate


@pytest.mark.parametrize("size", [(1920, 1080), (641, 359), (64, 48), (1, 1), (4000, 16)])
def test_a_slate_has_the_size_asked_for_rounded_up(size: tuple[int, int]) -> None:
    planes = slate("lobby", "no signal since 12:03:04 UTC - retrying", *size)

    assert (planes.width, planes.height) == (max(2, size[0] + size[0] % 2), max(2, size[1] + size[1] % 2))


def test_a_slate_is_dark_and_grey_with_words_on_it() -> None:
    planes = slate("lobby", "connecting", 640, 360)

    assert 0.8 < (planes.y == GROUND).mean() < 1
    assert (planes.u == 128).all()
    assert (planes.v == 128).all()


def test_a_slate_depends_on_name_and_message() -> None:
    pictures = [slate(*words, 640, 360).i420 for words in (("a", "x"), ("b", "x"), ("a", "y"))]

    assert (pictures[0] != pictures[1]).any()
    assert (pictures[0] != pictures[2]).any()


def test_a_long_message_stays_within_the_picture() -> None:
    planes = slate("a" * 63, "word " * 500, 640, 360)

    assert (planes.y[-8:] == GROUND).all()
