from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from faceanond.config.check import warnings
from faceanond.config.exposure import SECRETS
from faceanond.config.load import load
from faceanond.config.model import Camera, Config, IceServer, Viewer
from tests import certificates
from tests.config.test_check import warned, written

CAMERA = """[cameras.yard]
source = "rtsp://10.0.0.1/"
username = "u"
password = "hunter-2"
"""


def test_every_key_that_holds_a_secret_is_known() -> None:
    tables: list[type[BaseModel]] = [Camera, Viewer, IceServer]
    for info in Config.model_fields.values():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            tables.append(info.annotation)
    fields = {name: info.annotation for table in tables for name, info in table.model_fields.items()}
    assert {name for name, kind in fields.items() if "SecretStr" in str(kind)} == SECRETS


def test_passwords_in_a_file_that_all_can_read_are_told_once_at_the_first(public_folder: Path) -> None:
    written(public_folder, f"{CAMERA}[viewers.guard]\npassword = 'hunter-22'").chmod(0o644)
    [line] = warned(public_folder, f"{CAMERA}[viewers.guard]\npassword = 'hunter-22'")
    assert line.startswith(
        "c.toml:4: cameras.yard.password: every user of this machine can read the passwords and tokens in c.toml "
        '(mode 0644); run "chmod o= c.toml", or, where the service itself reads it that way, write '
        '"${credential:NAME}" in their place'
    )


def test_a_file_that_others_cannot_read_may_hold_passwords(public_folder: Path) -> None:
    written(public_folder, CAMERA).chmod(0o640)
    assert warned(public_folder, CAMERA) == []


def test_a_file_without_passwords_of_its_own_may_be_for_all(
    public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YARD", "hunter-2")
    text = CAMERA.replace("hunter-2", "${env:YARD}") + "[push]\npassword = ''"
    written(public_folder, text).chmod(0o644)
    assert warned(public_folder, text) == []


def test_a_password_that_only_looks_like_a_reference_stands_in_the_file(public_folder: Path) -> None:
    text = CAMERA.replace("hunter-2", "$${env:YARD}")
    written(public_folder, text).chmod(0o644)
    [line] = warned(public_folder, text)
    assert line.startswith("c.toml:4: cameras.yard.password: every user")


def test_a_secret_of_its_own_file_that_all_can_read_is_told_once(public_folder: Path) -> None:
    (public_folder / "yard").write_text("hunter-2")
    (public_folder / "yard").chmod(0o644)
    text = CAMERA.replace("hunter-2", "${file:yard}") + CAMERA.replace("yard", "lobby").replace(
        "hunter-2", "${file:yard}"
    )
    assert warned(public_folder, text) == [
        "c.toml:4: cameras.yard.password: every user of this machine can read the secret in yard (mode 0644); run "
        '"chmod o= yard"; the service\'s user or group must own it then'
    ]
    (public_folder / "yard").chmod(0o600)
    assert warned(public_folder, text) == []


@pytest.mark.parametrize("given", ["cameras.yard.password=hunter-3", "viewers.x={password='hunter-33'}"])
def test_a_secret_on_the_command_line_is_told_and_not_repeated(tmp_path: Path, given: str) -> None:
    [line] = warned(tmp_path, CAMERA, given)
    assert "password: a secret on the command line shows in the list of processes; write" in line
    assert line.startswith(f"--set {given.partition('=')[0]}=...: ")
    assert "hunter" not in line


def test_a_reference_on_the_command_line_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YARD", "hunter-2")
    assert warned(tmp_path, CAMERA, "cameras.yard.password=${env:YARD}", "cameras.yard.username=v") == []


@pytest.mark.parametrize("path", ["~nobody-of-that-name/yard", "gone/yard", "a\\u0000b", "x" * 5000, ""])
def test_a_reference_that_the_command_line_has_replaced_need_not_lead_anywhere(
    public_folder: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("YARD", "hunter-2")
    text = CAMERA.replace("hunter-2", f"${{file:{path}}}")
    assert warned(public_folder, text, "cameras.yard.password=${env:YARD}") == []


@pytest.mark.parametrize("secret", ["z", "zzz"])
def test_a_secret_that_is_too_short_to_be_hidden_everywhere_is_told_and_not_repeated(
    tmp_path: Path, secret: str
) -> None:
    text = f"""
        [push]
        url = "rtsp://media/{{camera}}"
        username = "u"
        password = "{secret}"
        [webrtc]
        ice_servers = [{{urls = ["turn:t"], username = "u", credential = "{secret}"}}]
        [cameras.a]
        source = "rtsp://10.0.0.1/"
        username = "u"
        password = "{secret}"
        [cameras.a.push]
        url = "rtsp://other/a"
        [cameras.b]
        source = "demo:"
        [cameras.b.push]
        url = "http://127.0.0.1/b"
        username = ""
        password = ""
        token = "{secret}"
    """
    lines = warned(tmp_path, text)
    assert [line.split(": ", 2)[1] for line in lines] == [
        "push.password",
        "webrtc.ice_servers[0].credential",
        "cameras.a.password",
        "cameras.b.push.token",
    ]
    for line in lines:
        assert line.endswith(
            ": shorter than 4 characters: soon guessed, and hidden in the log only where it stands alone; "
            "choose a longer one"
        )
    assert warned(tmp_path, text.replace(f'"{secret}"', '"zzzz"')) == []


def test_a_password_that_is_the_viewers_own_name_is_told(tmp_path: Path) -> None:
    text = "[viewers.NightGuard]\npassword = 'nightguard'\n[cameras.a]\nsource = 'demo:'"
    [line] = warned(tmp_path, text)
    assert line.startswith("c.toml:2: viewers.NightGuard.password: the password is the viewer's own name")
    assert warned(tmp_path, text.replace("'nightguard'", "'nightguard-2'")) == []


@pytest.mark.parametrize("listener", ["[http]", "[rtsp]\ntls_listen = '127.0.0.1:8322'"], ids=["http", "rtsp"])
def test_a_private_key_that_all_can_read_is_told_at_its_listener(public_folder: Path, listener: str) -> None:
    certificate, key = certificates.make(public_folder)
    key.chmod(0o644)
    text = f"{listener}\nkey = '{key}'\ncertificate = '{certificate}'\n[cameras.a]\nsource = 'demo:'"
    line = text[: text.index("key =")].count("\n") + 1
    assert warned(public_folder, text) == [
        f"c.toml:{line}: {listener[1:5]}.key: every user of this machine can read the private key server.key "
        '(mode 0644); run "chmod o= server.key"; the service\'s user or group must own it then'
    ]
    key.chmod(0o640)
    assert warned(public_folder, text) == []


def test_no_warning_repeats_a_secret(public_folder: Path) -> None:
    text = CAMERA + "[viewers.guard]\ntoken = 'hunter-token-of-16'\n[push]\nurl='http://m/{camera}'\ntoken = 'hunter-x'"
    path = written(public_folder, text)
    path.chmod(0o644)
    said = " ".join(map(str, warnings(load(path), path)))
    assert said
    assert "hunter" not in said
