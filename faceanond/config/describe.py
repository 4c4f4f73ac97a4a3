"""What each key takes, in plain words: for the messages about wrong values, and for the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from faceanond.config import detectors, types
from faceanond.config.lines import Path, ascii_quoted
from faceanond.config.model import Config


@dataclass(frozen=True, slots=True)
class Slot:
    """The declared type at one place of the file: what is left of the annotation, and what constrains it."""

    annotation: object
    constraints: tuple[object, ...] = ()

    @property
    def model(self) -> type[BaseModel] | None:
        """The table that stands here, if one does."""
        return self.annotation if isinstance(self.annotation, type) and issubclass(self.annotation, BaseModel) else None

    @property
    def text(self) -> bool:
        """Whether any text may stand here: a name, a password."""
        return self.annotation in (str, SecretStr)

    @property
    def secret(self) -> bool:
        return self.annotation is SecretStr

    @property
    def choices(self) -> tuple[str, ...]:
        """The only words that are taken; empty when it is not about words."""
        return get_args(self.annotation) if get_origin(self.annotation) is Literal else ()


def names(field: str, info: FieldInfo) -> tuple[str, ...]:
    """The key's name, then the other names under which it is accepted."""
    choices = getattr(info.validation_alias, "choices", ())
    return (field, *(choice for choice in choices if isinstance(choice, str) and choice != field))


def slot(path: Path, model: type[BaseModel] = Config) -> Slot | None:
    """What is declared at that path (canonical key names), None for an unknown key."""
    here = Slot(model)
    for part in path:
        if here.model is not None:
            info = here.model.model_fields.get(str(part))
            below: Slot | None = None if info is None else _bare(info.annotation, tuple(info.metadata))
        else:
            below = _element(here)
        if below is None:
            return None
        here = below
    return here


def _element(container: Slot) -> Slot | None:
    arguments = get_args(container.annotation)
    if get_origin(container.annotation) in (tuple, dict) and arguments:
        return _bare(arguments[1] if get_origin(container.annotation) is dict else arguments[0])
    return None


def _bare(annotation: object, constraints: tuple[object, ...] = ()) -> Slot:
    """Without `Annotated`, `| None` and pydantic's wrapping."""
    if get_origin(annotation) is Annotated:
        inner, *extra = get_args(annotation)
        unwrapped = [part for item in extra for part in (item.metadata if isinstance(item, FieldInfo) else [item])]
        return _bare(inner, (*constraints, *unwrapped))
    if get_origin(annotation) in (Union, UnionType):
        rest = [argument for argument in get_args(annotation) if argument is not NoneType]
        return _bare(rest[0], constraints)
    return Slot(annotation, constraints)


def seconds(value: float) -> str:
    """A duration as the file writes it."""
    if value >= 3600 and value % 3600 == 0:
        return f"{value / 3600:g}h"
    if value >= 300 and value % 60 == 0:
        return f"{value / 60:g}m"
    return f"{value * 1000:g}ms" if 0 < value < 1 else f"{value:g}s"


def bits(value: float) -> str:
    """A bit rate as the file writes it."""
    return f"{value / 1_000_000:g}M" if value >= 1_000_000 else f"{value / 1000:g}k"


def size(value: float) -> str:
    """A number of bytes as the file writes it."""
    for unit, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (1000, "k")):
        if value >= unit and value * 1000 % unit == 0:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


_TYPES: Mapping[object, str] = {
    types.Duration: 'a duration such as "200ms", "10s" or "5m"',
    types.Interval: '"0s" for off, or a duration of at least "1s"',
    types.Bitrate: 'bits per second, such as 500000, "500k" or "2M"',
    types.Size: 'a size such as "500M" or "20G"',
    types.Folder: "the absolute path of a folder",
    types.Address: '"HOST:PORT", such as "127.0.0.1:8080"',
    types.OptionalAddress: '"HOST:PORT", such as ":8322", or "" for none',
    types.PortRange: '"FIRST-LAST", such as "40000-40100", or "0" for any',
    types.Thresholds: "three numbers from 0 to 1",
    detectors.DetectorNames: detectors.NAMES,
    detectors.ModelPaths: detectors.PATHS,
    detectors.ModelHashes: detectors.HASHES,
    types.SourceUrl: f"a URL: {', '.join(f'{scheme}:' for scheme in types.SCHEMES)}, or the number of a V4L2 device",
    types.Origin: '"SCHEME://HOST[:PORT]"',
    types.ExternalAddress: "an IP address or a host name",
    types.CameraPattern: 'the name of a camera, with "*" for any letters',
    types.PushUrl: f"a URL: {', '.join(f'{scheme}:' for scheme in types.PUSH_SCHEMES)}; or nothing",
    types.IceUrl: '"stun:HOST:PORT" or "turn:HOST:PORT"',
}
_UNITS: Mapping[object, Callable[[float], str]] = {
    types.Duration: seconds,
    types.Interval: seconds,
    types.Bitrate: bits,
    types.Size: size,
}
_KINDS = {get_args(annotated)[1]: annotated for annotated in _TYPES}

_PLURALS = {
    "a table": "tables",
    "a point [x, y]": "[x, y] points",
    "a list of [x, y] points": "zones, each a list of [x, y] points",
}


def words(what: Slot) -> str:
    """What is expected there, such as `a whole number from 12 to 4096`."""
    if (kind := _kind(what)) is not None:
        phrase = _TYPES[kind] + ("," if _bounds(what) else "")
    elif what.choices:
        phrase = ("one of " if len(what.choices) > 1 else "") + ", ".join(f'"{choice}"' for choice in what.choices)
    elif what.model is not None:
        phrase = "a table"
    elif get_origin(what.annotation) is dict:
        phrase = "tables with a name each"
    elif get_origin(what.annotation) is tuple:
        phrase = _list(get_args(what.annotation))
    else:
        simple: Mapping[object, str] = {bool: "true or false", int: "a whole number", float: "a number"}
        phrase = simple.get(what.annotation, "text in quotes")
    return f"{phrase} {_bounds(what)}".rstrip()


def shown(value: object, what: Slot) -> str:
    """A value as the file writes it: `"200ms"`, `7`, `["fps"]`."""
    kind = _kind(what)
    text = ascii_quoted(value) if isinstance(value, str) else str(value)
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, (int, float)) and kind in _UNITS:
        text = f'"{_UNITS[kind](value)}"'
    elif isinstance(value, tuple) and kind in (types.Address, types.OptionalAddress):
        text = f'"[{value[0]}]:{value[1]}"' if ":" in value[0] else f'"{value[0]}:{value[1]}"'
    elif isinstance(value, tuple) and kind is types.PortRange:
        text = f'"{value[0]}-{value[1]}"' if value[0] else '"0"'
    elif isinstance(value, tuple) and kind is detectors.DetectorNames and len(value) == 1:
        text = ascii_quoted(value[0])
    elif isinstance(value, SecretStr):
        text = '""'  # the only secret that is a default
    elif isinstance(value, (tuple, list)):
        text = "[" + ", ".join(shown(item, Slot(None)) for item in value) + "]"
    return text


def _kind(what: Slot) -> object | None:
    """Which of the value types of `types` this is, if any."""
    validators = [constraint for constraint in what.constraints if isinstance(constraint, BeforeValidator)]
    return next((_KINDS[validator] for validator in validators if validator in _KINDS), None)


def _list(arguments: tuple[object, ...]) -> str:
    if Ellipsis not in arguments:
        return "a point [x, y]"
    element = _bare(arguments[0])
    inner = words(element)
    if element.choices:
        return f"a list of {inner.removeprefix('one of ')}"
    return f"a list of {_PLURALS[inner]}" if inner in _PLURALS else f"a list, each {inner}"


def _bounds(what: Slot) -> str:
    """`from 12 to 4096`, or nothing."""
    kind = _kind(what)
    show = _UNITS.get(kind, "{:.15g}".format)
    low = high = ""
    for constraint in what.constraints:
        if isinstance(constraint, annotated_types.Ge):
            low = f"from {show(constraint.ge)}"  # type: ignore[arg-type]  # the bounds of numbers are numbers
        elif isinstance(constraint, annotated_types.Gt):
            low = f"more than {show(constraint.gt)}"  # type: ignore[arg-type]
        elif isinstance(constraint, annotated_types.Le):
            high = f"to {show(constraint.le)}" if low.startswith("from") else f"and at most {show(constraint.le)}"  # type: ignore[arg-type]
    return f"{low} {high}".strip()
