"""No credential survives, in whatever shape it comes."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.observe.secrets import Redactor

SECRET = 'p@ss "w\\rd/é'


class Leaky:
    def __repr__(self) -> str:
        return f"<Container rtsp://viewer:{SECRET}@10.0.0.1/stream>"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError(SECRET)


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        f"open failed: {SECRET!r}",
        json.dumps({"password": SECRET}),
        f"rtsp://viewer:{quote(SECRET, safe='')}@camera/stream",
        {"nested": [{"deep": (SECRET, {SECRET})}]},
        {SECRET: 1},
        Leaky(),
        [Leaky()],
        Broken(),
        ValueError(SECRET),
        SECRET.encode(),
        Exception({"url": f"http://a:{SECRET}@b/"}),
    ],
)
def test_a_known_secret_survives_in_no_spelling(value: object) -> None:
    shown = json.dumps(Redactor([SECRET])(None, "info", {"event": "x", "value": value}))
    for spelling in (SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1], quote(SECRET), quote(SECRET, safe="")):
        assert spelling not in shown


@given(secret=st.text(min_size=4, max_size=30), around=st.text(max_size=20))
def test_any_known_secret_is_taken_out(secret: str, around: str) -> None:
    assert secret not in Redactor([secret]).text(f"{around}{secret}{around}").replace("***", "")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Basic " + base64.b64encode(b"viewer:hunter2").decode(),
        "{'Authorization': 'Digest username=\"viewer\", response=\"hunter2\"', 'Host': 'x'}",
        'sending Digest username="viewer", realm="cam", response="hunter2"',
        "retry with Bearer eyJhunter2.abc",
        "http://h/video?user=a&password=hunter2",
        "rtsp://a:hunter2@h/",
    ],
)
def test_credentials_that_nobody_declared_are_recognised_by_their_place(text: str) -> None:
    shown = Redactor().text(text)
    assert "hunter2" not in shown
    assert base64.b64encode(b"viewer:hunter2").decode() not in shown


@pytest.mark.parametrize("key", ["password", "PASSWORD", "camera_password", "token", "api_key", "Authorization"])
def test_a_key_that_names_a_secret_hides_its_value(key: str) -> None:
    assert Redactor()(None, "info", {key: "hunter2"}) == {key: "***"}
    assert Redactor()(None, "info", {"options": {key: ["hunter2"]}}) == {"options": {key: "***"}}


def test_a_missing_secret_is_still_seen_to_be_missing() -> None:
    assert Redactor()(None, "info", {"password": None}) == {"password": None}


def test_what_holds_no_secret_is_left_alone() -> None:
    event = {"event": "camera lost", "camera": "yard", "retry_in": 1.5, "frames": 3, "ok": True, "detail": None}
    assert Redactor([SECRET])(None, "info", dict(event)) == event


def test_prose_about_authentication_is_left_alone() -> None:
    text = "the camera offers basic and digest authentication only"
    assert Redactor().text(text) == text


def test_a_secret_that_is_called_like_a_level_does_not_blank_the_level() -> None:
    assert Redactor(["info"])(None, "info", {"level": "info", "event": "info"}) == {"level": "info", "event": "***"}


def test_a_secret_learnt_later_is_hidden_and_earlier_ones_stay_hidden() -> None:
    redactor = Redactor(["first"])
    redactor.learn(["second", ""])
    assert redactor.text("first second third") == "*** *** third"


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert Redactor(["abc", "abcdef"]).text("abcdef") == "***"


def test_numbers_of_numpy_and_infinities_become_valid_json() -> None:
    shown = Redactor().value({"n": np.int64(3), "f": np.float32(0.5), "nan": float("nan"), "inf": float("-inf")})
    assert json.loads(json.dumps(shown, allow_nan=False)) == {"n": 3, "f": 0.5, "nan": "nan", "inf": "-inf"}


def test_a_value_that_holds_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "..." in json.dumps(Redactor().value(loop))


def test_control_characters_cannot_move_the_cursor() -> None:
    assert Redactor().text("a\x1b[2Jb\rc\td\n") == "a\\x1b[2Jb\\x0dc\td\n"
