from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from faceanond.detect import cache
from faceanond.detect.weights import load_weights


def test_the_second_start_reads_what_the_first_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cache.mtcnn_graphs(tmp_path / "new" / "folder")

    def refuse() -> None:
        raise AssertionError("the weights were read again")

    monkeypatch.setattr(cache, "load_weights", refuse)
    assert cache.mtcnn_graphs(tmp_path / "new" / "folder") == first


def test_a_damaged_file_is_built_again_with_a_warning(tmp_path: Path) -> None:
    intact = cache.mtcnn_graphs(tmp_path)
    (path,) = tmp_path.glob("mtcnn-rnet-*.onnx")
    path.write_bytes(path.read_bytes()[:1000])
    with capture_logs() as logs:
        assert cache.mtcnn_graphs(tmp_path) == intact
    assert [line["event"] for line in logs] == ["cached graph damaged, building it again"]
    assert path.read_bytes() == intact.rnet


def test_a_hash_that_is_no_text_counts_as_damage(tmp_path: Path) -> None:
    intact = cache.mtcnn_graphs(tmp_path)
    (path,) = tmp_path.glob("mtcnn-pnet-*.sha256")
    path.write_bytes(b"\xff" * 64)
    assert cache.mtcnn_graphs(tmp_path) == intact


def test_a_folder_that_cannot_be_made_costs_a_warning_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with capture_logs() as logs:
        graphs = cache.mtcnn_graphs(tmp_path / "file" / "cache")
    assert graphs.pnet
    assert {line["log_level"] for line in logs} == {"warning"}


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert cache.mtcnn_graphs(tmp_path).pnet
    assert list(tmp_path.iterdir()) == []


def test_the_name_changes_with_the_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mtcnn_graphs(tmp_path)
    monkeypatch.setattr(cache.graphs, "VERSION", "next")
    cache.mtcnn_graphs(tmp_path)
    assert len(list(tmp_path.glob("mtcnn-pnet-*.onnx"))) == 2


def test_the_cached_graphs_are_those_of_the_weights(tmp_path: Path) -> None:
    assert cache.mtcnn_graphs(tmp_path).onet == cache.graphs.build_onet(load_weights())


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"CACHE_DIRECTORY": "/var/cache/faceanond"}, "/var/cache/faceanond"),
        ({"CACHE_DIRECTORY": "/var/cache/a:/var/cache/b"}, "/var/cache/a"),
        ({"XDG_CACHE_HOME": "/home/x/c"}, "/home/x/c/faceanond"),
        ({"XDG_CACHE_HOME": "not/absolute"}, "/home/y/.cache/faceanond"),
        ({}, "/home/y/.cache/faceanond"),
    ],
)
def test_the_folder_follows_systemd_then_the_users_cache(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/y")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert os.fspath(cache.cache_folder()) == folder


def test_engines_are_kept_for_this_user_alone(tmp_path: Path) -> None:
    folder = cache.engines_folder(tmp_path / "cache")
    assert folder is not None
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o077 == 0


def test_without_a_folder_engines_are_not_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with capture_logs() as logs:
        assert cache.engines_folder(tmp_path / "file") is None
    assert "compiles them anew" in logs[0]["event"]
