"""`--set KEY=VALUE`: one key of the file, given on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass

from faceanond.config.describe import names, slot
from faceanond.config.lines import Path, dotted, nested_too_deep, parse_key
from faceanond.config.model import DetectOptions

_ALIASES = {
    name: field for field, info in DetectOptions.model_fields.items() for name in names(field, info) if name != field
}


@dataclass(frozen=True, slots=True)
class Override:
    """The `number`-th override: a key's new value, and how it is called in messages (without what may be a secret)."""

    number: int
    path: Path
    value: object
    place: str


class OverrideError(Exception):
    """The override cannot be used; the text says why."""


def canonical(path: Path) -> Path:
    """The path with PeekingDuck's names of detector keys replaced by ours."""
    in_detector = path[:1] == ("detector",) and len(path) == 2
    in_camera = path[:1] == ("cameras",) and path[2:3] == ("detector",) and len(path) == 4
    return (*path[:-1], _ALIASES.get(str(path[-1]), path[-1])) if in_detector or in_camera else path


def read(text: str, number: int = 0) -> Override:
    """Reads "KEY=VALUE": VALUE is TOML where it can be, else text. Raises OverrideError."""
    found = parse_key(text)
    if found is None or not text.startswith("=", found[1]):
        raise OverrideError("expected KEY=VALUE, such as anonymise.method=solid")
    path = canonical(found[0])
    given = text[found[1] + 1 :]
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise OverrideError("the value is not UTF-8 text")
    declared = slot(path)
    value = _value(given)
    if nested_too_deep(value):
        raise OverrideError("too many lists and tables within each other")
    if declared is not None and declared.text and not isinstance(value, str):
        # A password of digits is text, whatever else it looks like.
        value = given.strip()
    harmless = (
        declared is not None and not declared.text and "source" not in path and not isinstance(value, (dict, list))
    )
    return Override(number, path, value, f"--set {dotted(found[0])}={given if harmless else '...'}")


def _value(text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    # A line break in the text could have begun a second key.
    return parsed["value"] if parsed.keys() == {"value"} else text.strip()


def place_of(text: str) -> str:
    """How an unusable override is called: its beginning only, for the rest may be a secret."""
    return f"--set {text.partition('=')[0][:60]}"


def apply(overrides: Iterable[Override], data: dict[str, object]) -> list[tuple[Override, str]]:
    """Puts the values into the data (changing it); returns those which do not fit, with the reason."""
    unfit: list[tuple[Override, str]] = []
    for override in overrides:
        node: object = data
        for depth, part in enumerate(override.path[:-1], 1):
            if isinstance(node, dict):
                node = node.setdefault(part, {})
            if not isinstance(node, dict):
                what = "a list, which can be set only as a whole" if isinstance(node, list) else "a value, not a table"
                unfit.append((override, f'"{dotted(override.path[:depth])}" is {what}'))
                break
        if isinstance(node, dict):
            node[override.path[-1]] = override.value
    return unfit
