from __future__ import annotations

import pytest

from faceanond.config.describe import bits, names, seconds, shown, slot, words
from faceanond.config.lines import Path
from faceanond.config.model import Config, DetectOptions


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("detector", "min_size"), "a whole number from 12 to 4096"),
        (("detector", "name"), 'one of "mtcnn", "yunet", "centerface", or a list of them'),
        (("detector", "timeout"), 'a duration such as "200ms", "10s" or "5m", more than 0s and at most 60s'),
        (("encode", "bitrate"), 'bits per second, such as 500000, "500k" or "2M", from 50k to 100M'),
        (("record", "max_size"), 'a size such as "500M" or "20G", from 1M'),
        (("record", "directory"), "the absolute path of a folder"),
        (("record", "segment"), 'a duration such as "200ms", "10s" or "5m", from 10s to 1h'),
        (("anonymise", "margin"), "a number from 0 to 2"),
        (("anonymise", "shape"), 'one of "ellipse", "box"'),
        (("anonymise", "legend"), 'a list of "fps", "name", "time"'),
        (("rtsp", "enabled"), "true or false"),
        (("webrtc", "ice_servers"), "a list of tables"),
        (("webrtc", "ice_servers", 3, "urls"), 'a list, each "stun:HOST:PORT" or "turn:HOST:PORT"'),
        (("cameras", "x", "zones"), "a list of zones, each a list of [x, y] points"),
        (("cameras", "x", "zones", 0, 1), "a point [x, y]"),
        (("cameras", "x", "zones", 0, 1, 0), "a number"),
        (("cameras", "x", "password"), "text in quotes"),
        (("cameras", "x"), "a table"),
        (("cameras",), "tables with a name each"),
    ],
)
def test_what_a_key_takes_is_said_in_plain_words(path: Path, expected: str) -> None:
    declared = slot(path)
    assert declared is not None
    assert words(declared) == expected


@pytest.mark.parametrize("path", [("x",), ("log", "x"), ("log", "level", "x"), ("cameras", "a", "b", "c")])
def test_an_unknown_key_has_no_slot(path: Path) -> None:
    assert slot(path) is None


def test_only_passwords_are_secret() -> None:
    secret = [slot(("cameras", "x", "password")), slot(("webrtc", "ice_servers", 0, "credential"))]
    assert all(one is not None and one.secret and one.text for one in secret)
    name = slot(("cameras", "x", "username"))
    assert name is not None
    assert name.text
    assert not name.secret


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("detector", "timeout"), '"1s"'),
        (("encode", "bitrate"), '"2M"'),
        (("record", "max_size"), '"20G"'),
        (("record", "keep"), '"72h"'),
        (("record", "segment"), '"5m"'),
        (("http", "listen"), '"127.0.0.1:8080"'),
        (("webrtc", "udp_ports"), '"0"'),
        (("anonymise", "legend"), '["fps"]'),
        (("rtsp", "enabled"), "true"),
        (("detector", "name"), '"mtcnn"'),
        (("detector", "model"), '""'),
    ],
)
def test_a_default_is_shown_as_the_file_writes_it(path: tuple[str, str], text: str) -> None:
    declared = slot(path)
    assert declared is not None
    assert shown(getattr(getattr(Config(), path[0]), path[1]), declared) == text


def test_several_detectors_are_shown_as_a_list() -> None:
    declared = slot(("detector", "name"))
    assert declared is not None
    assert shown(("mtcnn", "yunet"), declared) == '["mtcnn", "yunet"]'


def test_an_ipv6_address_and_a_range_are_shown_as_the_file_writes_them() -> None:
    listen, ports = slot(("http", "listen")), slot(("webrtc", "udp_ports"))
    assert listen is not None
    assert ports is not None
    assert shown(("::1", 80), listen) == '"[::1]:80"'
    assert shown((1, 2), ports) == '"1-2"'


def test_units() -> None:
    assert [seconds(value) for value in (0, 0.2, 1, 90)] == ["0s", "200ms", "1s", "90s"]
    assert [bits(value) for value in (50_000, 1_500_000)] == ["50k", "1.5M"]


def test_a_keys_names_begin_with_its_own() -> None:
    assert names("min_size", DetectOptions.model_fields["min_size"]) == ("min_size", "mtcnn_min_size")
