from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from faceanond.cli import main
from faceanond.daemon import check as module
from faceanond.errors import ExitCode
from tests.detect.networks import like_centerface, like_yunet


def checked(folder: Path, capsys: pytest.CaptureFixture[str], *lines: str) -> tuple[int, str]:
    path = folder / "c.toml"
    path.write_text("\n".join(["[detector]", *lines, "[cameras.a]", 'source = "demo:"']))
    code = main(["check", "-c", str(path)])
    return code, capsys.readouterr().err


def test_a_model_file_that_is_not_there_is_told_with_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = checked(tmp_path, capsys, 'name = ["mtcnn", "yunet"]', f'model = "{tmp_path}/y.onnx"')
    assert code == ExitCode.UNAVAILABLE
    assert said == (
        f"{tmp_path}/c.toml: detector.model: the model file {tmp_path}/y.onnx of yunet does not exist; "
        'fetch it with "faceanond fetch-model yunet", or name another place in detector.model\n'
    )


def test_every_model_file_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "y.onnx").write_bytes(like_centerface())
    digest = hashlib.sha256(like_centerface()).hexdigest()
    code, said = checked(
        tmp_path,
        capsys,
        'name = ["yunet", "centerface"]',
        f'model = {{ yunet = "{tmp_path}/y.onnx", centerface = "{tmp_path}/c.onnx" }}',
        f'model_sha256 = {{ yunet = "{digest}" }}',
    )
    assert code == ExitCode.UNAVAILABLE
    first, second = said.splitlines()
    assert "y.onnx of yunet is the file of another network" in first
    assert "c.onnx of centerface does not exist" in second


def test_a_model_file_that_can_be_used_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "y.onnx").write_bytes(like_yunet())
    digest = hashlib.sha256(like_yunet()).hexdigest()
    lines = ('name = "yunet"', f'model = "{tmp_path}/y.onnx"', f'model_sha256 = "{digest}"')
    assert checked(tmp_path, capsys, *lines) == (ExitCode.OK, "")


def test_the_default_detector_needs_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(tmp_path, capsys) == (ExitCode.OK, "")


def test_a_folder_for_recordings_that_cannot_be_used_is_told_where_something_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = ("[record]", f'directory = "{tmp_path}/mnt/recordings"')
    assert checked(tmp_path, capsys, *record) == (ExitCode.OK, "")
    code, said = checked(tmp_path, capsys, *record, "enabled = true")
    assert code == ExitCode.UNAVAILABLE
    assert said == (
        f"{tmp_path}/c.toml: record.directory: neither {tmp_path}/mnt/recordings nor {tmp_path}/mnt exists\n"
    )
    (tmp_path / "mnt").mkdir()
    assert checked(tmp_path, capsys, *record, "enabled = true") == (ExitCode.OK, "")


def test_the_folder_that_systemd_makes_need_not_be_there_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STATE", tmp_path / "state")
    record = ("[record]", "enabled = true", f'directory = "{tmp_path}/state/recordings"')
    assert checked(tmp_path, capsys, *record) == (ExitCode.OK, "")
    (tmp_path / "state").touch()
    assert checked(tmp_path, capsys, *record)[0] == ExitCode.UNAVAILABLE
