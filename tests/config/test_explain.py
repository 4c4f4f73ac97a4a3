from __future__ import annotations

import datetime

import pytest
from pydantic import ValidationError

from faceanond.config.explain import explain, kind_of, unknown_key
from faceanond.config.lines import Path
from faceanond.config.model import Config


def said(raw: dict[str, object], reference: str | None = None) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(raw)
    return [explain(error, error["loc"], reference) for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"detector": {"min_size": 5}}, "expected a whole number from 12 to 4096, got 5"),
        ({"detector": {"min_size": 40.5}}, "expected a whole number from 12 to 4096, got 40.5 (a number)"),
        ({"detector": {"min_size": "40"}}, "expected a whole number from 12 to 4096, got text; remove the quotes"),
        ({"rtsp": {"enabled": "true"}}, "expected true or false, got text; remove the quotes"),
        ({"rtsp": {"enabled": 1}}, "expected true or false, got 1 (a whole number)"),
        ({"anonymise": {"margin": True}}, "expected a number from 0 to 2, got true"),
        ({"anonymise": {"margin": datetime.date(2020, 1, 1)}},
         "expected a number from 0 to 2, got 2020-01-01 (a date or time)"),
        ({"anonymise": {"shape": "circle"}}, 'expected one of "ellipse", "box", got "circle"'),
        ({"anonymise": []}, "expected a table, got a list"),
        ({"encode": {"keyframe_interval": "0s"}},
         'expected a duration such as "200ms", "10s" or "5m", from 200ms to 60s, got "0s"'),
        ({"encode": {"bitrate": "1k"}},
         'expected bits per second, such as 500000, "500k" or "2M", from 50k to 100M, got "1k"'),
        ({"cameras": {"a": {}}}, "missing; expected a URL: rtsp:, rtsps:, http:, https:, v4l2:, file:, demo:, "
                                 "or the number of a V4L2 device"),
        ({"cameras": {"a": {"source": 0, "username": 5}}}, "expected text in quotes, got a whole number"),
        ({"cameras": {"a": {"source": 0, "zones": [[[0, 0]]]}}}, "a zone needs at least 3 points, got 1"),
        ({"cameras": {"a": {"source": 0, "zones": [[[0, 0], [1, 1], [2, 2, 2]]]}}}, "a point has two numbers, [x, y]"),
        ({"cameras": {"a": {"source": 0, "zones": [[0, 0], [9, 0], [9, 9]]}}},
         "this is one polygon; a list of polygons is expected: put it into one more pair of brackets, got a list"),
        ({"cameras": {"a": {"source": 0, "zones": [[[0, 0], [1, 1], 5]]}}},
         "expected a point [x, y], got 5 (a whole number)"),
        ({"webrtc": {"ice_servers": [{"urls": []}]}},
         'expected a list, each "stun:HOST:PORT" or "turn:HOST:PORT", at least 1, got 0'),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_what_was_expected_and_what_was_found(raw: dict[str, object], message: str) -> None:
    assert said(raw)[0] == message


@pytest.mark.parametrize("method", ["none", "None", "off", ""])
def test_hiding_nothing_is_not_an_option(method: str) -> None:
    [message] = said({"anonymise": {"method": method}})
    assert message.startswith(f'"{method}" is not an option: no picture leaves without its faces hidden')


def test_a_value_from_a_reference_is_not_repeated() -> None:
    [message] = said({"anonymise": {"method": "hunter2"}}, "${env:X}")
    assert message == 'expected one of "mosaic", "blur", "solid", got the content of ${env:X}'


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("camera",), 'unknown key; did you mean "cameras"?'),
        (("http", "Listen"), 'unknown key; did you mean "listen"?'),
        (("http", "allowed-origins"), 'unknown key; did you mean "allowed_origins"?'),
        (("detector", "mtcnn_minsize"), 'unknown key; did you mean "mtcnn_min_size"?'),
        (("anonymise", "blurr"), 'unknown key; did you mean "blur_level"?'),
        (
            ("cameras", "yard", "blurr"),
            'unknown key; did you mean "blur_level"? It belongs in [cameras.yard.anonymise]',
        ),
        (("cameras", "yard", "min_size"), "unknown key here; it belongs in [cameras.yard.detector]"),
        (("cameras", "yard", "anonymise", "zones"), "unknown key here; it belongs in [cameras.yard]"),
        (("encode", "device"), "unknown key here; it belongs in [detector]"),
        (("username",), "unknown key here; it belongs in [cameras.NAME]"),
        (("log", "zzz"), "unknown key; expected one of level, format"),
        (("cameras", "a", "detector", "threads"), '"threads" belongs to the whole process; set it in [detector]'),
        (("log", "level", "x"), "unknown key"),
    ],
)
def test_an_unknown_key_is_told_with_what_may_have_been_meant(path: Path, message: str) -> None:
    assert unknown_key(path) == message


def test_kinds_of_values_have_plain_names() -> None:
    values: list[object] = [True, 1, 1.5, "x", [], {}, datetime.time()]
    assert [kind_of(value) for value in values] == [
        "true/false", "a whole number", "a number", "text", "a list", "a table", "a date or time",
    ]  # fmt: skip
