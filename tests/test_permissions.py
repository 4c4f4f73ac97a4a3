"""What every user can read is told; what only some can, or what nobody can reach, is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from faceanond import permissions
from faceanond.permissions import complaint, mode_for_all


def made(folder: Path, mode: int, name: str = "server.key") -> Path:
    path = folder / name
    path.touch()
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o444, 0o666])
def test_a_file_that_all_can_read_is_told_with_its_mode(public_folder: Path, mode: int) -> None:
    assert mode_for_all(made(public_folder, mode)) == mode


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440, 0o660, 0o601])
def test_a_file_for_its_owner_and_a_group_is_not(public_folder: Path, mode: int) -> None:
    assert mode_for_all(made(public_folder, mode)) is None


def test_a_folder_that_others_cannot_enter_hides_what_is_in_it(public_folder: Path) -> None:
    (public_folder / "live").mkdir()
    (public_folder / "archive").mkdir()
    (public_folder / "live" / "key.pem").symlink_to("../archive/key1.pem")
    made(public_folder / "archive", 0o644, "key1.pem")
    assert mode_for_all(public_folder / "live" / "key.pem") == 0o644
    (public_folder / "archive").chmod(0o700)
    assert mode_for_all(public_folder / "live" / "key.pem") is None


def test_a_containers_own_secrets_are_left_to_its_engine(public_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(public_folder, 0o444)
    monkeypatch.setattr(permissions, "CONTAINER_SECRETS", public_folder)
    assert mode_for_all(path) is None


def test_what_is_no_file_is_not_judged(public_folder: Path) -> None:
    (public_folder / "keys").mkdir(mode=0o755)
    assert mode_for_all(public_folder / "keys") is None
    assert mode_for_all(Path("/dev/null")) is None


@pytest.mark.parametrize("name", ["gone", "a\0b", "x" * 5000])
def test_what_cannot_be_looked_at_is_not_judged(public_folder: Path, name: str) -> None:
    assert mode_for_all(public_folder / name) is None


def test_the_command_that_ends_it_can_be_pasted(public_folder: Path) -> None:
    path = made(public_folder, 0o644, "my key")
    said = f"every user of this machine can read the private key {path} (mode 0644); run \"chmod o= '{path}'\""
    assert complaint(path, "the private key") == said
    path.chmod(0o640)
    assert complaint(path, "the private key") is None
