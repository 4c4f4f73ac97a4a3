"""[viewers.NAME]: who may watch, and every way to get it wrong."""

from __future__ import annotations

import pytest

from faceanond.config.load import parse
from faceanond.errors import ConfigError

CAMERAS = '\n[cameras.yard]\nsource = "demo:"\n[cameras.yard-2]\nsource = "demo:"\n'


def problems(text: str, cameras: str = CAMERAS) -> list[str]:
    try:
        parse(text + cameras, "c.toml", environ={})
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_viewer_with_a_password_sees_every_camera_unless_told_otherwise() -> None:
    config = parse('[viewers.guard]\npassword = "secret-1"' + CAMERAS, "c.toml")
    assert config.viewers["guard"].cameras == ("*",)
    assert "secret-1" not in repr(config)


def test_a_viewer_has_as_many_streams_as_it_likes_unless_told_otherwise() -> None:
    config = parse('[viewers.a]\npassword = "secret-1"\n[viewers.b]\npassword = "secret-1"\nmax_streams = 3', "c.toml")
    assert [viewer.max_streams for viewer in config.viewers.values()] == [None, 3]


@pytest.mark.parametrize("value", ["0", "-1", "10001", "2.5", '"2"', "true"])
def test_a_share_is_a_whole_number_from_one(value: str) -> None:
    (problem,) = problems(f'[viewers.guard]\npassword = "secret-1"\nmax_streams = {value}')
    assert problem.startswith("c.toml:3: viewers.guard.max_streams: ")
    assert "a whole number from 1 to 10000" in problem


@pytest.mark.parametrize("name", ["guard", "anna@example.org", "Nvr_1.west"])
@pytest.mark.parametrize("cameras", ['["yard"]', '["yard*"]', '["*"]', '["yard", "*-2"]'])
def test_names_and_patterns_of_cameras_that_are_there_are_taken(name: str, cameras: str) -> None:
    assert problems(f'[viewers."{name}"]\npassword = "secret-1"\ncameras = {cameras}') == []


@pytest.mark.parametrize("name", ["x:y", "", "a b", "-a", "é", "a" * 64])
def test_a_name_that_a_login_could_not_carry_is_refused(name: str) -> None:
    (problem,) = problems(f'[viewers."{name}"]\npassword = "secret-1"')
    assert "a viewer's name is up to 63 letters, digits and . _ @ -" in problem


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "c.toml:1: viewers.guard: neither a password nor a token"),
        ('password = "secret"', "viewers.guard.password: too short; expected text in quotes, of at least 8 characters"),
        ('token = "secret-secret"', "viewers.guard.token: too short; expected text in quotes, of at least 16"),
        ('password = "secret-1"\ncameras = ["yrad"]', 'c.toml:3: viewers.guard.cameras[0]: no camera is called "yrad"'),
        ('password = "secret-1"\ncameras = ["y?rd"]', "expected the name of a camera"),
        ('password = "secret-1"\ncameras = []', "viewers.guard.cameras: expected a list"),
        ("pasword = 1", 'c.toml:2: viewers.guard.pasword: unknown key; did you mean "password"?'),
    ],
)
def test_a_viewer_that_could_not_work_is_told_with_its_line(table: str, message: str) -> None:
    (problem,) = [
        one for one in problems(f"[viewers.guard]\n{table}") if "unknown key" in one or "unknown" not in table
    ]
    assert message in problem
    assert "secret" not in problem


def test_a_password_that_belongs_to_nobody_is_refused() -> None:
    (problem,) = problems('[viewers]\npassword = "secret-1"')
    assert problem == 'c.toml:2: viewers.password: "password" belongs to one viewer: write it below [viewers.NAME]'


def test_two_viewers_cannot_share_a_token() -> None:
    token = 'token = "0123456789abcdef"'
    (problem,) = problems(f"[viewers.a]\n{token}\n[viewers.b]\n{token}")
    assert problem == "c.toml:4: viewers.b.token: the same token as that of a; give each viewer its own"


def test_patterns_are_not_held_against_a_file_without_cameras() -> None:
    assert problems('[viewers.guard]\npassword = "secret-1"\ncameras = ["yard"]', cameras="") == []
