"""Takes credentials out of everything that is logged: known secrets, URLs, authorization headers, telling key names.

Every value of an event passes here once, just before it is rendered, whatever logger it came from. Objects are turned
into text first, since a repr is where a URL with its password hides.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from numbers import Integral, Real
from typing import Final
from urllib.parse import quote, quote_plus

from structlog.typing import EventDict, WrappedLogger

from faceanond.redact import MASK, redact

OWN_FIELDS: Final = frozenset({"timestamp", "level", "logger"})
"""Written by the logging itself, from closed sets; a secret that is called "info" must not blank the level."""
DEEPEST: Final = 6
"""Levels of nesting that are kept; what lies deeper (or refers to itself) becomes text."""
_SECRET_KEY = re.compile(r"(?i)(pass(word|wd|phrase)?|pwd|secret|token|credentials?|authorization|cookie|api_?key)$")
# A header's credentials up to the end of its line: a digest's response can be cracked offline, and it holds quotes.
_AUTHORIZATION = re.compile(r"(?i)(\bauthorization\b['\"]?\s*[:=,]|\bdigest\s+(?=username\s*=)).*")
_BEARER = re.compile(r"(?i)\b(basic|bearer)\s+(?=\S*[=\d])[\w+/=.~-]{8,}")
# Control characters would let a camera's text move the cursor of whoever reads the log.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


class Redactor:
    """Knows the process's secrets. `learn` may be called at any time, for instance after a reload."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Adds secrets, in every spelling in which a library may print them. They are never forgotten."""
        known = set(self._secrets)
        for secret in secrets:
            known |= _spellings(secret)
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def text(self, text: str) -> str:
        """The text without credentials and control characters."""
        text = redact(text, self._secrets)
        text = _BEARER.sub(rf"\1 {MASK}", _AUTHORIZATION.sub(rf"\1 {MASK}", text))
        return text.translate(_CONTROL)

    def value(self, value: object, depth: int = DEEPEST) -> object:
        """The value as plain JSON types without credentials."""
        match value:
            case None | bool():
                return value
            case Real():
                return _number(value)
            case str():
                return self.text(str(value))
            case Mapping() if depth:
                return {self.text(str(key)): self._entry(str(key), item, depth - 1) for key, item in value.items()}
            case Sequence() | Set() if depth and not isinstance(value, (bytes, bytearray, memoryview)):
                return [self.value(item, depth - 1) for item in value]
            case _:
                return self.text(_repr(value))

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        """The structlog processor."""
        return {
            self.text(key): item if key in OWN_FIELDS else self._entry(key, item, DEEPEST)
            for key, item in event.items()
        }

    def _entry(self, key: str, item: object, depth: int) -> object:
        if item is not None and not isinstance(item, bool) and _SECRET_KEY.search(key):
            return MASK
        return self.value(item, depth)


def _spellings(secret: str) -> set[str]:
    """The secret as it is, quoted for a URL, and escaped for Python and JSON."""
    if not secret:
        return set()
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
        repr(secret.encode())[2:-1],
        json.dumps(secret)[1:-1],
    }


def _number(value: Real) -> int | float | str:
    if isinstance(value, Integral):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else str(number)  # JSON has no NaN


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a foreign __repr__ may raise anything, and a log line must not
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
