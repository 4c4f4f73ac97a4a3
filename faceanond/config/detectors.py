"""The detectors' names and what the file says about their model files. Each type says what it expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator

from faceanond.config.lines import ascii_quoted

FILE_DETECTORS = ("yunet", "centerface")
"""The detectors that are read from a model file; "mtcnn" brings its own weights."""
DETECTORS = ("mtcnn", *FILE_DETECTORS)

NAMES = f"one of {', '.join(map(ascii_quoted, DETECTORS))}, or a list of them"
_TABLE = "{ " + ", ".join(f'{name} = "..."' for name in FILE_DETECTORS) + " }"
PATHS = f"the path of an ONNX file, or a table of paths: {_TABLE}"
HASHES = f"64 hexadecimal digits, as sha256sum prints them, or a table of such: {_TABLE}"


class ExactError(ValueError):
    """A message that says by itself what was found, so that nothing needs to be added to it."""


def detector_names(value: object) -> tuple[str, ...]:
    """The detectors whose faces are put together: one name, or several in a list."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"expected {NAMES}")
    if not names:
        raise ExactError(f"an empty list would find no faces; expected {NAMES}")
    for name in names:
        if name not in DETECTORS:
            raise ExactError(f"unknown detector {ascii_quoted(name[:40])}; expected {NAMES}")
        if names.count(name) > 1:
            raise ExactError(f'the detector "{name}" is named twice; name each of them once')
    return tuple(names)


def model_paths(value: object) -> str | dict[str, str]:
    """Where model files are: text for the only one, or a table with the detectors' names."""
    return _per_detector(value, PATHS)


def model_hashes(value: object) -> str | dict[str, str]:
    """The SHA-256 of model files, in small letters."""
    hashes = _per_detector(value, HASHES)
    for text in (hashes,) if isinstance(hashes, str) else hashes.values():
        if not re.fullmatch(r"([0-9a-fA-F]{64})?", text):
            raise ValueError(f"expected {HASHES}")
    return hashes.lower() if isinstance(hashes, str) else {name: text.lower() for name, text in hashes.items()}


def _per_detector(value: object, expected: str) -> str | dict[str, str]:
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError(f"expected {expected}")
    for name in value:
        if name == "mtcnn":
            raise ExactError(f"mtcnn reads no model file; expected {expected}")
        if name not in FILE_DETECTORS:
            raise ExactError(f"unknown detector {ascii_quoted(str(name)[:40])}; expected {expected}")
    return dict(value)


def told_of(value: str | dict[str, str], name: str) -> str:
    """What one of those values says of that detector's file; "" when nothing."""
    return value if isinstance(value, str) else value.get(name, "")


DetectorNames = Annotated[tuple[Literal["mtcnn", "yunet", "centerface"], ...], BeforeValidator(detector_names)]
ModelPaths = Annotated[dict[str, str] | str, BeforeValidator(model_paths)]
ModelHashes = Annotated[dict[str, str] | str, BeforeValidator(model_hashes)]
