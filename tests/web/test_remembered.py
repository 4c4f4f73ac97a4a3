"""Right and wrong credentials are remembered by address, and no viewer pushes out what is remembered of another."""

from __future__ import annotations

import base64

import pytest

from faceanond.access import Viewer
from faceanond.web.remembered import MOST_RIGHT, MOST_WRONG, Credentials, Remembered, read

GUARD, CHIEF = Viewer("guard", ("*",)), Viewer("chief", ("*",))


def basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Basic {basic('guard:a:b')}", Credentials("basic", "guard", "a:b")),
        (f"bAsIc    {basic('guard:a:b')}  ", Credentials("basic", "guard", "a:b")),
        ("Bearer  abc ", Credentials("bearer", "", "abc")),
        ("Basic !!!", Credentials("", "", "Basic !!!")),
        (f"Basic {base64.b64encode(b'guard:' + bytes([255])).decode()}", None),
        ("Digest username=guard", Credentials("", "", "Digest username=guard")),
        ("", Credentials("", "", "")),
    ],
)
def test_a_header_is_read_whatever_its_spelling(header: str, expected: Credentials | None) -> None:
    assert read(header) == (expected or Credentials("", "", header))


def test_what_was_right_counts_for_that_address_and_spelling_of_the_password_alone() -> None:
    known = Remembered()
    login = Credentials("basic", "guard", "secret")
    known.note_right("192.0.2.1", login, GUARD)
    assert known.right("192.0.2.1", login) is GUARD
    assert known.right("192.0.2.2", login) is None
    assert known.right("192.0.2.1", Credentials("basic", "guard", "Secret")) is None
    assert known.right("192.0.2.1", Credentials("bearer", "", "secret")) is None


def test_a_viewer_at_many_addresses_pushes_out_its_own_oldest_and_nobody_else() -> None:
    known = Remembered()
    known.note_right("192.0.2.1", Credentials("basic", "guard", "secret"), GUARD)
    login = Credentials("basic", "chief", "secret")
    for number in range(MOST_RIGHT + 1):
        known.note_right(f"10.0.{number >> 8}.{number & 255}", login, CHIEF)
        assert known.right("10.0.0.1", login) is (CHIEF if number >= 1 else None), "it is asked for all the time"
    assert known.right("10.0.0.0", login) is None
    assert known.right("192.0.2.1", Credentials("basic", "guard", "secret")) is GUARD
    assert len(known._right) == MOST_RIGHT + 1


def test_wrong_ones_have_a_limit_of_their_own() -> None:
    known = Remembered()
    known.note_right("192.0.2.1", Credentials("basic", "guard", "secret"), GUARD)
    for number in range(MOST_WRONG + 1):
        known.note_wrong("192.0.2.1", Credentials("basic", "guard", str(number)))
    assert not known.was_wrong("192.0.2.1", Credentials("basic", "guard", "0"))
    assert known.was_wrong("192.0.2.1", Credentials("basic", "guard", str(MOST_WRONG)))
    assert known.right("192.0.2.1", Credentials("basic", "guard", "secret")) is GUARD
