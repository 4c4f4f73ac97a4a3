"""The installation guide speaks of files, ports and settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide" / "install.md").read_text()
UNIT = (ROOT / "systemd" / "faceanond.service").read_text()


def test_every_file_of_the_repository_that_it_names_exists() -> None:
    named = set(re.findall(r"(?<![\w/])(?:deploy|systemd|docs)/[\w./-]+\w", GUIDE))
    assert len(named) >= 5
    for path in named:
        assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\(([^)]+)\)", GUIDE):
        assert (ROOT / "docs" / "guide" / link).exists(), link


def test_the_guide_and_the_unit_agree_on_where_things_are() -> None:
    for path in ("/opt/faceanond/bin/faceanond", "/etc/faceanond/config.toml", "/etc/faceanond/credentials/lobby"):
        assert path in GUIDE, path
        assert path in UNIT, path
