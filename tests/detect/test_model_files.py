from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from faceanond.config.detectors import FILE_DETECTORS
from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect import model_files
from faceanond.detect.model_files import OFFICIAL, data_folder, model_path, read_model
from faceanond.errors import ExitCode, UnavailableError
from tests.detect.networks import published


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/faceanond"}, "/var/lib/faceanond"),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a"),
        ({"XDG_DATA_HOME": "/home/x/d"}, "/home/x/d/faceanond"),
        ({"XDG_DATA_HOME": "not/absolute"}, "/home/y/.local/share/faceanond"),
        ({}, "/home/y/.local/share/faceanond"),
    ],
)
def test_the_data_folder_follows_systemd_then_the_user(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STATE_DIRECTORY", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/y")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert os.fspath(data_folder()) == folder


def test_the_configured_path_comes_before_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/state")
    both = DetectorConfig(name=("yunet", "centerface"), model={"yunet": "here/y.onnx"})
    assert model_path(both, "yunet") == Path("here/y.onnx")
    assert model_path(both, "centerface") == Path("/state/centerface_bnmerged.onnx")


def test_every_detector_with_a_file_has_an_official_one() -> None:
    assert tuple(OFFICIAL) == FILE_DETECTORS
    for model in OFFICIAL.values():
        assert model.url.startswith("https://")
        assert model.url.endswith(f"/{model.file}")


@pytest.mark.parametrize("name", FILE_DETECTORS)
def test_the_published_file_is_the_one_that_is_pinned(name: str) -> None:
    path = published(name)
    if path is None:
        pytest.skip(f"the official file of {name} is not on this machine")
    assert path.stat().st_size == OFFICIAL[name].size
    assert read_model(DetectorConfig(name=(name,), model=str(path)), name) == path.read_bytes()


def reason(path: Path, **more: str) -> str:
    with pytest.raises(UnavailableError) as caught:
        read_model(DetectorConfig(name=("yunet",), model=str(path), **more), "yunet")
    assert caught.value.exit_code == ExitCode.UNAVAILABLE
    assert str(caught.value).startswith(f"the model file {path} of yunet ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_told_with_the_command_that_brings_it(tmp_path: Path) -> None:
    assert 'does not exist; fetch it with "faceanond fetch-model yunet"' in reason(tmp_path / "y.onnx")


def test_what_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is a directory or device; expected an ONNX file" in reason(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is a directory or device; expected an ONNX file" in reason(tmp_path / "pipe")
    (tmp_path / "file").touch()
    assert "cannot be read: Not a directory" in reason(tmp_path / "file" / "y.onnx")
    assert "cannot be read: File name too long" in reason(tmp_path / ("y" * 300))
    monkeypatch.setattr(model_files, "LARGEST", 1 << 20)
    with (tmp_path / "large").open("wb") as large:
        large.truncate((1 << 20) + 1)
    assert "has more than 1 MiB" in reason(tmp_path / "large")


def test_a_file_that_was_cut_short_is_told_from_another_one(tmp_path: Path) -> None:
    path = tmp_path / "y.onnx"
    path.write_bytes(b"x" * 1000)
    assert "is cut short or another file: it has 1000 of 232589 bytes" in reason(path)
    path.write_bytes(b"x" * 300_000)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    said = reason(path)
    assert f"is not the official one: its SHA-256 is {digest}" in said
    assert f'set detector.model_sha256 = "{digest}"' in said


def test_the_other_detectors_official_file_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "y.onnx"
    path.write_bytes(b"the other")
    other = OFFICIAL["centerface"]
    as_if = model_files.OfficialModel(
        other.detector, other.file, other.url, hashlib.sha256(b"the other").hexdigest(), 9, other.licence
    )
    monkeypatch.setitem(OFFICIAL, "centerface", as_if)
    assert "is the file of centerface; fetch it with" in reason(path)


def test_a_file_of_ones_own_is_read_when_its_hash_is_configured(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(b"my own")
    digest = hashlib.sha256(b"my own").hexdigest()
    own = DetectorConfig(name=("yunet",), model=str(path), model_sha256=digest)
    assert read_model(own, "yunet") == b"my own"
    path.write_bytes(b"changed")
    assert "has changed since detector.model_sha256 was taken" in reason(path, model_sha256=digest)
