from __future__ import annotations

import pickle
import shutil
import sys
from importlib import metadata
from pathlib import Path

import pytest

from faceanond.detect import weights
from faceanond.errors import UnavailableError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the three files, to be damaged."""
    return Path(shutil.copytree(weights.weights_folder(), tmp_path / "weights"))


def test_the_installed_files_are_read_without_importing_their_package() -> None:
    loaded = weights.load_weights()
    assert loaded.pnet[0].shape == (3, 3, 3, 10)
    assert loaded.onet[12].shape == (1152, 256)
    assert "mtcnn" not in sys.modules


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "rnet.lz4").unlink()
    with pytest.raises(UnavailableError, match=r"rnet\.lz4 cannot be read: No such file"):
        weights.load_weights(folder)


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "onet.lz4"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnavailableError, match=r"onet\.lz4 is not the one of mtcnn 1\.0\.0"):
        weights.load_weights(folder)


class Trap:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_changed_file_is_never_unpickled(folder: Path, tmp_path: Path) -> None:
    (folder / "pnet.lz4").write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    with pytest.raises(UnavailableError, match="SHA-256"):
        weights.load_weights(folder)
    assert not (tmp_path / "ran").exists()


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(UnavailableError, match=r"pip install mtcnn==1\.0\.0"):
        weights.load_weights()


def test_another_version_of_the_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        version = "1.1.0"

    monkeypatch.setattr(metadata, "distribution", lambda name: Other())
    with pytest.raises(UnavailableError, match=r"1\.1\.0 is installed"):
        weights.load_weights()
