"""The guide to the detectors shows configurations that load, and names what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faceanond.cli import _parser
from faceanond.config.detectors import DETECTORS
from faceanond.config.load import parse
from faceanond.detect.model_files import OFFICIAL

GUIDE = (Path(__file__).parents[2] / "docs" / "guide" / "detectors.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = re.findall(r"faceanond (fetch-model .*)", GUIDE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_loads(example: str) -> None:
    assert parse(example, "guide").detector.name != ("mtcnn",)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one(command: str) -> None:
    assert _parser().parse_args(command.split()).detector in OFFICIAL


def test_there_are_examples_and_commands_and_every_detector_is_named() -> None:
    assert len(EXAMPLES) == 2
    assert len(COMMANDS) == 3
    assert all(f'"{name}"' in GUIDE for name in DETECTORS)
    assert OFFICIAL["yunet"].file in GUIDE
