"""Who may watch what."""

from __future__ import annotations

import pytest

from faceanond.access import ANYBODY, OPEN, Access
from faceanond.config.load import parse

TEXT = """
[viewers.guard]
password = "gu\u00e4rd-password"
[viewers.neighbour]
password = "neighbour-password"
token = "neighbour-token-16"
cameras = ["street", "yard-*"]
[viewers.wall]
token = "wall-token-of-16ch"
"""


@pytest.fixture
def access() -> Access:
    return Access(parse(TEXT, "c.toml").viewers)


def test_without_viewers_everything_is_open() -> None:
    assert OPEN.open
    assert ANYBODY.may_watch("yard")
    assert ANYBODY.sees_everything


def test_with_a_viewer_it_is_not(access: Access) -> None:
    assert not access.open


def test_a_viewer_is_known_by_name_and_password(access: Access) -> None:
    viewer = access.by_password("guard", "guärd-password")
    assert viewer is not None
    assert viewer.name == "guard"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("guard", "neighbour-password"),
        ("guard", ""),
        ("guard", "guärd-password "),
        ("", ""),
        ("nobody", "guärd-password"),
        ("wall", ""),
        ("wall", "wall-token-of-16ch"),
        ("guard", "\udcff"),
    ],
)
def test_nobody_else_is(access: Access, name: str, password: str) -> None:
    assert access.by_password(name, password) is None


def test_a_viewer_is_known_by_a_token_alone(access: Access) -> None:
    viewer = access.by_token("wall-token-of-16ch")
    assert viewer is not None
    assert viewer.name == "wall"


@pytest.mark.parametrize("token", ["", "guärd-password", "wall-token-of-16c", "\udcff", "neighbour-token-16x"])
def test_no_other_token_opens(access: Access, token: str) -> None:
    assert access.by_token(token) is None


def test_a_viewer_sees_its_own_cameras_only(access: Access) -> None:
    viewer = access.viewer("neighbour")
    assert viewer is not None
    assert [name for name in ("street", "yard-1", "yard", "streets", "lobby") if viewer.may_watch(name)] == [
        "street",
        "yard-1",
    ]
    assert not viewer.sees_everything


def test_a_password_is_given_out_for_schemes_that_never_send_it(access: Access) -> None:
    assert access.password_of("neighbour") == "neighbour-password"
    assert access.password_of("wall") is None
    assert access.password_of("nobody") is None


def test_the_log_is_told_no_secret(access: Access) -> None:
    assert "password" not in repr(access)
    assert "token" not in repr(access.by_token("wall-token-of-16ch"))
