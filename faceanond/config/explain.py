"""Turns pydantic's findings into sentences for the person who edits the file.

A message says what was expected and, where that cannot be a secret, what was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from pydantic import BaseModel

from faceanond.config.describe import Slot, names, shown, slot, words
from faceanond.config.detectors import ExactError
from faceanond.config.floors import NOTHING, asks_for_nothing, asks_to_show, method_meant, too_weak
from faceanond.config.inherit import FLEET_TABLES
from faceanond.config.lines import Path, ascii_quoted, dotted
from faceanond.config.model import PROCESS_WIDE, Camera, Config

ALIKE = 0.6
"""How alike two words must be (0 to 1) for one to be suggested for the other; difflib's own usual limit."""


def explain(error: Mapping[str, Any], path: Path, reference: str | None = None) -> str:
    """The message for one of pydantic's errors at that path (canonical names, from the document's root).

    `reference` is the `${...}` that the value came from, if any: then nothing of the value is repeated.
    """
    declared = slot(path)
    if error["type"] == "extra_forbidden":
        return unknown_key(path)
    if reference is not None and declared is not None:
        return f"expected {words(declared)}, got the content of {reference}"
    if len(path) > 4 and path[0] == "cameras" and path[2] == "zones" and error["type"] in {"missing", "too_long"}:
        return "a point has two numbers, [x, y]"
    return _refusal(error, path, declared, error.get("input"))


def _refusal(error: Mapping[str, Any], path: Path, declared: Slot | None, found: object) -> str:
    """The message about a value that was looked at."""
    expected = f"expected {words(declared)}" if declared is not None else "unexpected"
    match error["type"]:
        case "missing":
            message = f"missing; {expected}"
        case "value_error":
            exact = isinstance(found, str) or isinstance(error["ctx"]["error"], ExactError)
            message = str(error["ctx"]["error"]) + ("" if exact else f", got {kind_of(found)}")
        case "too_short" if declared is not None and declared.secret:
            message = f"too short; {expected}, of at least {error['ctx']['min_length']} characters"
        case "too_short":
            least, actual = error["ctx"]["min_length"], error["ctx"]["actual_length"]
            what = f"a zone needs at least {least} points" if "zones" in path else f"{expected}, at least {least}"
            message = f"{what}, got {actual}"
        case "literal_error" if path[-1] == "method" and asks_for_nothing(found):
            shown_as = _quoted(found) if isinstance(found, str) else "false"
            message = f"{shown_as} is not an option: {NOTHING}; {expected}"
        case "literal_error" if path[-1] == "method" and (meant := method_meant(found)):
            message = f'{expected}{_instead(found, declared)}; did you mean "{meant}"?'
        case kind if weak := too_weak(kind, path):
            message = f"{weak}; {expected}{_instead(found, declared)}"
        case _:
            message = expected + _instead(found, declared)
    return message


def _instead(found: object, declared: Slot | None) -> str:
    """`, got 3 (a whole number)`; only the kind where the value may be a name, a password or a URL."""
    kind = kind_of(found)
    if declared is None or declared.text or isinstance(found, (list, dict)):
        return f", got {kind}"
    if isinstance(found, str):
        if declared.choices:
            return f", got {_quoted(found)}"
        unquoted = declared.annotation in (bool, int, float) and re.fullmatch(r"true|false|[0-9]+(\.[0-9]+)?", found)
        return f", got {kind}" + ("; remove the quotes" if unquoted else "")
    value = shown(found, declared)[:40]
    told = isinstance(found, bool) or kind in words(declared) or value.startswith('"')
    return f", got {value}" + ("" if told else f" ({kind})")


def _quoted(found: object) -> str:
    return ascii_quoted(str(found)[:40])


def kind_of(value: object) -> str:
    """The TOML type of a value, in words."""
    kinds = {bool: "true/false", int: "a whole number", float: "a number", str: "text", list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")


def unknown_key(path: Path) -> str:
    """The message for a key that nobody knows: what may have been meant, or where it belongs."""
    key = str(path[-1])
    if len(path) == 4 and path[0] == "cameras" and (str(path[2]), key) in PROCESS_WIDE:
        return f'"{key}" belongs to the whole process; set it in [{path[2]}]'
    parent = slot(path[:-1])
    if parent is None or parent.model is None:
        return "unknown key"
    if refused := asks_to_show(path):
        return f"unknown key; {refused}"
    here = _keys(parent.model)
    if meant := _closest(key, here):
        return f'unknown key; did you mean "{meant}"?'
    elsewhere = dict(_tables(path))
    if meant := _closest(key, list(elsewhere)):
        belongs = f"it belongs in [{dotted(elsewhere[meant])}]"
        suggested = f'unknown key; did you mean "{meant}"? {belongs.capitalize()}'
        return f"unknown key here; {belongs}" if meant == key else suggested
    known = ", ".join(parent.model.model_fields)
    return f"unknown key; expected one of {known}"


def _keys(model: type[BaseModel]) -> list[str]:
    return [name for field, info in model.model_fields.items() for name in names(field, info)]


def _tables(path: Path) -> Iterator[tuple[str, Path]]:
    """Every key of the other tables that may have been meant, with its table; the nearest last, so that it wins."""
    camera = path[:2] if path[0] == "cameras" and len(path) > 2 else None
    for name in Config.model_fields:
        table = slot((name,))
        if table is not None and table.model is not None and path[:-1] != (name,):
            yield from ((key, (name,)) for key in _keys(table.model))
        elif name == "cameras" and camera is None:
            yield from ((key, ("cameras", "NAME")) for key in _keys(Camera))
    if camera is not None:
        yield from ((key, camera) for key in _keys(Camera))
        for name in FLEET_TABLES:
            table = slot((*camera, name))
            if table is not None and table.model is not None:
                yield from ((key, (*camera, name)) for key in _keys(table.model))


def _closest(key: str, candidates: Sequence[str]) -> str | None:
    """The candidate most like the key, if any is like it at all. A shared beginning counts: "blurr", "blur_level"."""
    wanted = key.lower().replace("-", "_")[:64]
    best, score = None, ALIKE
    for candidate in candidates:
        common = next(
            (index for index, pair in enumerate(zip(wanted, candidate, strict=False)) if pair[0] != pair[1]),
            min(len(wanted), len(candidate)),
        )
        prefix = 0.9 * common / len(wanted) if common >= 4 else 0.0
        likeness = max(SequenceMatcher(None, wanted, candidate).ratio(), prefix)
        if likeness > score:
            best, score = candidate, likeness
    return best
