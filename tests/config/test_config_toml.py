"""The shipped config.toml: complete, equal to the defaults, and its examples work."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from faceanond.config.load import load, parse
from faceanond.config.model import Camera, Config, IceServer, Viewer

FILE = Path(__file__).resolve().parents[2] / "config.toml"
TEXT = FILE.read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^#(?=[^\s#])", re.MULTILINE)
"""A "#" without a blank behind it begins an example."""


def examples() -> str:
    return EXAMPLE.sub("", TEXT[TEXT.index("# Cameras.") :])


def test_the_shipped_file_equals_the_defaults() -> None:
    assert load(FILE) == Config()


@pytest.mark.parametrize("table", [name for name in Config.model_fields if name not in ("viewers", "cameras")])
def test_the_shipped_file_has_every_key(table: str) -> None:
    model = Config.model_fields[table].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    assert list(tomllib.loads(TEXT)[table]) == list(model.model_fields)


def test_every_key_of_a_camera_is_shown() -> None:
    lobby = tomllib.loads(examples())["cameras"]["lobby"]
    assert set(lobby) == set(Camera.model_fields)


def test_every_key_has_a_comment_of_its_own() -> None:
    lines = TEXT.splitlines()
    above = {line: lines[number - 1] for number, line in enumerate(lines) if re.match(r"#?[a-z_]+ = ", line)}
    bare = [line for line, before in above.items() if not before.startswith("#")]
    assert bare == []


def test_every_choice_is_named_in_the_comment() -> None:
    for table in Config().model_dump(exclude={"viewers", "cameras"}):
        model = Config.model_fields[table].annotation
        for name, info in model.model_fields.items():  # type: ignore[union-attr]
            for choice in getattr(info.annotation, "__args__", ()):
                if isinstance(choice, str):
                    assert f'"{choice}"' in TEXT, f"{table}.{name}"


def test_the_camera_examples_load_all_together(tmp_path: Path) -> None:
    (tmp_path / "lobby").write_text("hunter2")
    config = parse(examples(), "config.toml", environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert list(config.cameras) == ["lobby", "desk", "clip", "gate", "test"]


def test_each_camera_example_loads_alone_in_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "lobby").write_text("hunter2")
    found = set()
    for block in re.split(r"\n\n", TEXT[TEXT.index("# Cameras.") :]):
        if "[cameras." in block and "[cameras.lobby.detector]" not in block:
            config = parse(
                TEXT + EXAMPLE.sub("", block), "config.toml", environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}
            )
            found |= set(config.cameras)
    assert found == {"lobby", "desk", "clip", "gate", "test"}


def test_the_examples_of_a_camera_show_the_defaults_where_they_say_so(tmp_path: Path) -> None:
    (tmp_path / "lobby").write_text("hunter2")
    lobby = parse(examples(), "config.toml", environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}).cameras["lobby"]
    for name in ("enabled", "transport", "tls_verify", "timeout"):
        assert getattr(lobby, name) == Camera.model_fields[name].default


def test_the_example_of_an_ice_server_loads_and_has_every_key(tmp_path: Path) -> None:
    (tmp_path / "turn").write_text("hunter2")
    line = next(line for line in TEXT.splitlines() if line.startswith("#ice_servers"))
    config = parse("[webrtc]\n" + line[1:], "config.toml", environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert config.webrtc.ice_servers[0].model_fields_set == set(IceServer.model_fields)


def test_the_example_of_a_viewer_loads_and_has_every_key(tmp_path: Path) -> None:
    (tmp_path / "guard").write_text("hunter2-hunter2")
    (tmp_path / "guard-token").write_text("t0ken-t0ken-t0ken")
    text = EXAMPLE.sub("", TEXT[TEXT.index("# Viewers.") : TEXT.index("# Cameras.")])
    guard = parse(text, "config.toml", environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}).viewers["guard"]
    assert guard.model_fields_set == set(Viewer.model_fields)
    assert guard.cameras == Viewer.model_fields["cameras"].default
