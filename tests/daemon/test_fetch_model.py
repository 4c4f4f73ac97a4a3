from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

from faceanond.cli import main
from faceanond.config.load import parse
from faceanond.detect.model_files import OFFICIAL, OfficialModel, model_path
from faceanond.errors import ExitCode
from tests.daemon.file_server import content, serving

DATA = b"a network" * 1000


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file belongs; the official one is DATA, in a place that nobody serves."""
    pinned = OfficialModel(
        detector="yunet",
        file="small.onnx",
        url="https://127.0.0.1:1/small.onnx",
        sha256=hashlib.sha256(DATA).hexdigest(),
        size=len(DATA),
        licence="MIT",
    )
    monkeypatch.setitem(OFFICIAL, "yunet", pinned)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state" / "small.onnx"


def fetched(*arguments: str) -> int:
    return main(["fetch-model", *arguments])


def test_the_file_comes_to_where_the_detector_looks(official: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving({"/y": content(DATA)}) as server:
        assert fetched("yunet", "--from", f"{server}/y") == ExitCode.OK
    assert official.read_bytes() == DATA
    said = capsys.readouterr()
    assert said.out.startswith(f"{official}: fetched, {len(DATA)} bytes, SHA-256 as published; licence MIT\n")
    assert said.err == ""


def test_the_lines_for_the_configuration_can_be_pasted(official: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving({"/y": content(DATA)}) as server:
        fetched("yunet", "--from", f"{server}/y")
    lines = capsys.readouterr().out.partition("in the configuration:\n")[2]
    assert tomllib.loads(lines) == {"detector": {"name": "yunet", "model": str(official)}}
    settings = parse(lines, "pasted").detector
    assert model_path(settings, "yunet") == official
    assert model_path(parse("[detector]\nname = 'yunet'", "without model").detector, "yunet") == official


def test_an_intact_file_is_not_fetched_again(official: Path, capsys: pytest.CaptureFixture[str]) -> None:
    official.parent.mkdir()
    official.write_bytes(DATA)
    assert fetched("yunet") == ExitCode.OK  # its official place would refuse
    assert f"{official}: is there already, and intact" in capsys.readouterr().out


def test_a_damaged_file_is_replaced(official: Path, capsys: pytest.CaptureFixture[str]) -> None:
    official.parent.mkdir()
    official.write_bytes(DATA[:500])
    with serving({"/y": content(DATA)}) as server:
        assert fetched("yunet", "--from", f"{server}/y") == ExitCode.OK
    assert official.read_bytes() == DATA
    assert "is not the official file, replacing it" in capsys.readouterr().err


def test_a_failure_is_one_line_and_an_exit_code(official: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, words in (
        (["yunet"], ExitCode.FAILED, "https://127.0.0.1:1/small.onnx cannot be reached: Connection refused"),
        (["yunet", "--from", "http://example.org/y"], ExitCode.USAGE, "expected https://HOST/PATH"),
        (["yunet", "--from", "file:///gone"], ExitCode.UNAVAILABLE, "/gone cannot be read"),
        (["resnet"], ExitCode.USAGE, 'no detector "resnet" has a model file; expected yunet or centerface'),
    ):
        assert fetched(*arguments) == code
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("faceanond: ")
        assert words in said.err
        assert said.err.count("\n") == 1
    assert not official.exists()
