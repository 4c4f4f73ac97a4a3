from __future__ import annotations

import pytest

from faceanond.config.overrides import Override, OverrideError, apply, canonical, place_of, read


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("anonymise.method=solid", ("anonymise", "method"), "solid"),
        ('anonymise.method="solid"', ("anonymise", "method"), "solid"),
        ("encode.max_fps=12.5", ("encode", "max_fps"), 12.5),
        ("rtsp.enabled=false", ("rtsp", "enabled"), False),
        ('anonymise.legend=["name"]', ("anonymise", "legend"), ["name"]),
        ("http.listen=127.0.0.1:0", ("http", "listen"), "127.0.0.1:0"),
        ("encode.bitrate = 2M", ("encode", "bitrate"), "2M"),
        ('cameras."a b".enabled=true', ("cameras", "a b", "enabled"), True),
        ("cameras.a.username=", ("cameras", "a", "username"), ""),
        ("detector.mtcnn_min_size=20", ("detector", "min_size"), 20),
        ("log.level=info\nb = 1", ("log", "level"), "info\nb = 1"),
        ("log.level=[" + "[" * 5000, ("log", "level"), "[" * 5001),
    ],
)
def test_an_override_is_a_dotted_key_and_toml_or_text(text: str, path: tuple[str, ...], value: object) -> None:
    override = read(text)
    assert (override.path, override.value) == (path, value)


@pytest.mark.parametrize("text", ["", "a", "=", "=1", "a b=1", "a.=1", "a=\udcff"])
def test_what_is_no_override_is_refused(text: str) -> None:
    with pytest.raises(OverrideError):
        read(text)


def test_a_password_of_digits_is_text() -> None:
    assert read("cameras.a.password=0123").value == "0123"
    assert read("cameras.a.password=12").value == "12"


@pytest.mark.parametrize(
    "text",
    ["cameras.a.password=hunter2", "cameras.a.pasword=hunter2", "cameras.a.source=ftp://x:hunter2@y",
     "cameras.a={password='hunter2'}", 'webrtc.ice_servers=[{credential="hunter2"}]', "hunter=hunter2"],
)  # fmt: skip
def test_an_override_that_may_hold_a_secret_is_named_without_its_value(text: str) -> None:
    assert "hunter2" not in read(text).place


def test_an_override_without_secrets_is_named_in_full() -> None:
    assert read("anonymise.method=solid").place == "--set anonymise.method=solid"
    assert place_of("a b=hunter2") == "--set a b"


def test_older_names_are_replaced_in_detector_tables_only() -> None:
    assert canonical(("cameras", "a", "detector", "mtcnn_score")) == ("cameras", "a", "detector", "score_threshold")
    assert canonical(("anonymise", "mtcnn_score")) == ("anonymise", "mtcnn_score")


def test_overrides_make_the_tables_that_they_need_and_the_last_one_wins() -> None:
    data: dict[str, object] = {"log": {"level": "info"}}
    assert apply([read("log.level=debug"), read("log.level=error"), read("cameras.a.enabled=false")], data) == []
    assert data == {"log": {"level": "error"}, "cameras": {"a": {"enabled": False}}}


def test_an_override_into_a_value_or_a_list_is_refused_with_the_reason() -> None:
    data: dict[str, object] = {"log": 3, "webrtc": {"ice_servers": []}}
    unfit = apply([Override(0, ("log", "level"), 1, ""), Override(1, ("webrtc", "ice_servers", "urls"), 1, "")], data)
    assert [reason for _, reason in unfit] == [
        '"log" is a value, not a table',
        '"webrtc.ice_servers" is a list, which can be set only as a whole',
    ]
    assert data == {"log": 3, "webrtc": {"ice_servers": []}}
