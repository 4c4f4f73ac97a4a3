from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from faceanond.config.load import parse
from faceanond.config.secrets import LONGEST, Expansion, Resolver, secret_values
from faceanond.errors import ConfigError


def expand(text: str, folder: Path, environ: Mapping[str, str] | None = None) -> tuple[object, Expansion]:
    expansion = Expansion()
    return Resolver(environ or {}, folder).expand({"k": [text]}, (), expansion), expansion


def failure(text: str, folder: Path, environ: Mapping[str, str] | None = None) -> str:
    value, expansion = expand(text, folder, environ)
    assert value == {"k": [text]}
    assert list(expansion.failed) == [("k", 0)]
    return expansion.failed["k", 0]


def test_a_systemd_credential_is_read_without_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "lobby").write_text("hunter2\n")
    value, expansion = expand("${credential:lobby}", Path(), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert value == {"k": ["hunter2"]}
    assert expansion.resolved == {"hunter2"}


def test_only_one_line_break_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b" two\n\r\n")
    assert expand("${file:a}", tmp_path)[0] == {"k": [" two\n"]}


def test_a_file_is_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("x")
    assert expand("${file:pass}", tmp_path)[0] == {"k": ["x"]}
    assert expand(f"${{file:{tmp_path}/pass}}", Path("/nowhere"))[0] == {"k": ["x"]}


def test_a_reference_may_be_a_part_of_a_text(tmp_path: Path) -> None:
    value, _ = expand("a${env:X}b${env:X}$${c}$d", tmp_path, {"X": "1"})
    assert value == {"k": ["a1b1${c}$d"]}


def test_a_secret_that_looks_like_a_reference_is_left_alone(tmp_path: Path) -> None:
    assert expand("${env:X}", tmp_path, {"X": "${env:Y}\\1"})[0] == {"k": ["${env:Y}\\1"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${credential:gone}", "LoadCredential=gone:"),
        ("${credential:../gone}", "the name of a credential"),
        ("${credential:..}", "the name of a credential"),
        ("${env:GONE}", "export GONE=..."),
        ("${env:EMPTY}", "is empty"),
        ("${env:BYTES}", "not UTF-8"),
        ("${file:gone}", "create it"),
        ("${file:folder}", "not a plain file"),
        ("${file:pipe}", "not a plain file"),
        ("${file:latin}", "not UTF-8"),
        ("${file:huge}", "too large"),
        ("${file:a\x00b}", "does not exist"),
        ("${file:" + "x" * 5000 + "}", "cannot be read"),
        ("${vault:x}", "unknown reference"),
        ("${x}", "unknown reference"),
        ("${}", "unknown reference"),
        ("${env:}", "unknown reference"),
        ("${env:X", 'write "$${"'),
    ],
)
def test_a_reference_that_leads_nowhere_says_what_to_do(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes(b"\xff")
    (tmp_path / "huge").write_bytes(b"x" * (LONGEST + 1))
    os.mkfifo(tmp_path / "pipe")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "EMPTY": "", "BYTES": "\udcff"}
    assert words in failure(text, tmp_path, environ)


def test_without_systemd_the_message_names_the_other_ways(tmp_path: Path) -> None:
    assert "${env:NAME}" in failure("${credential:lobby}", tmp_path)


def test_secret_values_are_all_passwords_and_all_that_was_fetched() -> None:
    text = """
        [webrtc]
        ice_servers = [{urls = ["turn:x"], username = "u", credential = "turn-pass"}]
        [viewers.guard]
        password = "guard-pass"
        token = "guard-token-of-16"

        [cameras.a]
        source = "http://x/?token=${env:TOKEN}"
        username = "u"
        password = "p@ss"
        [push]
        password = "fleet"
        [cameras.a.push]
        token = "bearer"
        password = ""
    """
    config = parse(text, "c.toml", environ={"TOKEN": "t0k"})
    secrets = {"turn-pass", "guard-pass", "guard-token-of-16", "t0k", "p@ss", "p%40ss", "fleet", "bearer"}
    assert secret_values(config) == secrets
    assert "p@ss" not in repr(config)


def test_a_configuration_without_secrets_has_none() -> None:
    assert secret_values(parse("", "c.toml")) == frozenset()


def test_a_mistake_with_a_fetched_value_does_not_repeat_it() -> None:
    text = """
        [anonymise]
        method = "${env:A}"
        margin = "${env:A}"
        [http]
        listen = "${env:B}"
        [cameras.a]
        source = "${env:C}"
    """
    environ = {"A": "hunter2 with a long tail which is cut off somewhere", "B": "[aa:99999]:5", "C": "ab://hunter2"}
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.toml", environ=environ)
    assert len(caught.value.problems) == 4
    assert not any(word in str(caught.value) for word in ("hunter2", "99999", "ab:"))
    assert "${env:A}" in caught.value.problems[0].message
