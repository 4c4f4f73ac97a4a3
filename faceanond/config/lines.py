"""Where each key of a TOML text stands: `tomllib` knows the values and no lines, this knows the lines and no values.

The text is cut into statements (a header, or a key with its value) and each is read just far enough to find the keys
and the elements in it. Nothing is judged here: a statement that makes no sense is passed over, and `tomllib` says why.
Grammar: https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace

Path = tuple[str | int, ...]
"""A key's place in the document: names, and indexes into arrays. `()` is the document itself."""

DEEPEST = 60
"""Levels of arrays and tables within each other that a configuration may have: ten times what it needs."""

LONGEST_KEY = 1000
"""Parts of one dotted key that are followed: reading takes time with the square of them."""

_LONG_STRING = r'"""(?:\\.|[^\\])*?"{3,5}|' r"'''.*?'{3,5}"
_SHORT_STRING = r'"(?:\\.|[^"\\\n])*"|' r"'[^'\n]*'"
_TOKEN = re.compile(
    rf"""(?P<string>{_LONG_STRING}) | (?P<endless>\"\"\".* | '''.*) | {_SHORT_STRING} | \#[^\n]* | (?P<open>[\[{{])
    | (?P<close>[\]}}]) | (?P<newline>\n) | [^"'\#\[\]{{}}\n]+ | (?P<quote>.)""",
    re.DOTALL | re.VERBOSE,
)
_KEY_PART = re.compile(r"""[ \t]*("(?:\\.|[^"\\\n])*"|'[^'\n]*'|[^\s.=\[\]{},#"']+)[ \t]*""")
_VALUE_STRING = re.compile(f"{_LONG_STRING}|{_SHORT_STRING}", re.DOTALL)
_SCALAR = re.compile(r"[^,\[\]{}#\n]+")
_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_INLINE_BLANK = re.compile(r"[ \t]*")
_SOME_KEY = rf"(?:[A-Za-z0-9_-]+|{_SHORT_STRING})"
# Inside an open array no line can begin like these, so an array that was never closed ends before them.
_NEW_STATEMENT = re.compile(
    rf"""[ \t]*(?:{_SOME_KEY}(?:[ \t]*\.[ \t]*{_SOME_KEY})*[ \t]*=
    | \[\[?[ \t]*(?!(?:true|false|inf|nan)\b)[A-Za-z_])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One header or key with value: the text from `start` to `end` (offsets) on lines `first` to `last` (from 1).

    `closed` is False when a string or bracket in it never ends. `path` is what it defines, None when unreadable.
    """

    first: int
    last: int
    start: int
    end: int
    header: bool
    closed: bool
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A TOML text's statements, and the line of every key and array element in it."""

    statements: tuple[Statement, ...]
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of that key or of the nearest table around it; 1 when there is none."""
        for length in range(len(path), 0, -1):
            if (line := self.lines.get(path[:length])) is not None:
                return line
        return 1

    def statement(self, line: int) -> Statement | None:
        """The statement which that line belongs to, or the last one before it."""
        before = [statement for statement in self.statements if statement.first <= line]
        return before[-1] if before else None

    def definition(self, path: Path) -> int | None:
        """The line of the first header or key that defines exactly this path."""
        return next((statement.first for statement in self.statements if statement.path == path), None)


class _LostError(Exception):
    """The text is not TOML from here on."""


def scan(text: str) -> Document:
    """Finds every key. Takes any text; what cannot be read is left out."""
    return _Scanner(text).document()


def parse_key(text: str) -> tuple[tuple[str, ...], int] | None:
    """The parts of a dotted key at the start of the text and the offset behind it; None when there is no key."""
    try:
        return _key(text, 0)
    except _LostError:
        return None


def nested_too_deep(value: object) -> bool:
    """Whether there are more than `DEEPEST` levels in it; does not recurse, as those who use the value will."""
    level = [value]
    for _ in range(DEEPEST + 1):
        below = [item for item in level if isinstance(item, (dict, list))]
        level = [child for item in below for child in (item.values() if isinstance(item, dict) else item)]
        if not level:
            return False
    return True


def dotted(path: Path) -> str:
    """The path as people write it: `cameras.yard.zones[0]`, with quotes where TOML needs them."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            plain = re.fullmatch(r"[A-Za-z0-9_-]+", part)
            shown += ("." if shown else "") + (part if plain else ascii_quoted(part))
    return shown


def ascii_quoted(text: str) -> str:
    """The text in quotes on one line, whatever it holds."""
    escaped = "".join(char if char.isprintable() and char not in '"\\' else repr(char)[1:-1] for char in text)
    return f'"{escaped}"'


def _key(text: str, pos: int) -> tuple[tuple[str, ...], int]:
    parts: list[str] = []
    while True:
        match = _KEY_PART.match(text, pos)
        if match is None:
            raise _LostError
        part = match[1]
        if part[0] in "\"'":
            try:
                part = str(tomllib.loads(f"key = {part}")["key"])
            except ValueError:
                raise _LostError from None
        parts.append(part)
        if len(parts) > LONGEST_KEY:
            raise _LostError
        pos = match.end()
        if text[pos : pos + 1] != ".":
            return tuple(parts), pos
        pos += 1


def split(text: str) -> list[Statement]:
    """The text's statements, in order; blank lines and comments belong to none."""
    breaks = [match.start() for match in re.finditer("\n", text)]
    found: list[Statement] = []
    pos = _BLANK.match(text, 0).end()  # type: ignore[union-attr]  # matches the empty string too
    while pos < len(text):
        header = text[pos] == "["
        end, closed = (_end_of_line(text, pos), True) if header else _end_of_pair(text, pos)
        last = bisect_right(breaks, max(pos, end - 1)) + 1
        found.append(Statement(bisect_right(breaks, pos) + 1, last, pos, end, header, closed))
        pos = _BLANK.match(text, end).end()  # type: ignore[union-attr]
    return found


def _end_of_line(text: str, pos: int) -> int:
    end = text.find("\n", pos)
    return len(text) if end < 0 else end


def _end_of_pair(text: str, pos: int) -> tuple[int, bool]:
    """The offset behind the statement, and whether everything opened in it was closed."""
    opened: list[str] = []
    closed = True
    while (token := _TOKEN.match(text, pos)) is not None:
        if token["open"]:
            opened.append(token["open"])
        elif token["close"]:
            if opened:
                opened.pop()
        elif token["newline"] and (not opened or ("{" not in opened and _NEW_STATEMENT.match(text, token.end()))):
            break
        elif token["endless"]:
            return len(text), False
        elif token["quote"]:
            # A string that does not end on its line.
            closed = False
        pos = token.end()
    return pos, closed and not opened


class _Scanner:
    """Walks the statements, remembering the table that they stand in."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Path, int] = {}
        self._implied: set[Path] = set()
        self._arrays: dict[Path, int] = {}

    def document(self) -> Document:
        table: Path | None = ()
        statements: list[Statement] = []
        for statement in split(self._text):
            path: Path | None = None
            try:
                if statement.header:
                    path = table = self._header(statement.start)
                elif table is not None:
                    path = (*table, *_key(self._text, statement.start)[0])
                    self._pair(table, statement.start, 0)
            except _LostError:
                table = None if statement.header else table
            statements.append(replace(statement, path=path))
        return Document(tuple(statements), self._lines)

    def _line(self, pos: int) -> int:
        return bisect_right(self._breaks, pos) + 1

    def _define(self, path: Path, pos: int, *, implied: bool = False) -> None:
        """Notes a key's line; what a table says of itself counts more than what its parts imply."""
        if path in self._lines and (implied or path not in self._implied):
            return
        self._lines[path] = self._line(pos)
        (self._implied.add if implied else self._implied.discard)(path)

    def _header(self, pos: int) -> Path:
        array = self._text.startswith("[[", pos)
        start = pos
        parts, pos = _key(self._text, pos + (2 if array else 1))
        if not self._text.startswith("]]" if array else "]", pos):
            raise _LostError
        path: Path = ()
        for index, part in enumerate(parts, 1):
            path += (part,)
            last = index == len(parts)
            self._define(path, start, implied=not last)
            if path in self._arrays and not (array and last):
                path += (self._arrays[path],)
        if array:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            path += (self._arrays[path],)
            self._define(path, start)
        return path

    def _pair(self, table: Path, pos: int, depth: int) -> int:
        """Reads `key = value`; returns the offset behind the value."""
        start = pos
        parts, pos = _key(self._text, pos)
        if not self._text.startswith("=", pos):
            raise _LostError
        path = table
        for part in parts[:-1]:
            path += (part,)
            self._define(path, start, implied=True)
        path += (parts[-1],)
        self._define(path, start)
        return self._value(path, self._skip(_INLINE_BLANK, pos + 1), depth)

    def _value(self, path: Path, pos: int, depth: int) -> int:
        if depth > DEEPEST:
            raise _LostError
        if self._text.startswith("[", pos):
            return self._array(path, pos + 1, depth + 1)
        if self._text.startswith("{", pos):
            return self._inline_table(path, pos + 1, depth + 1)
        match = _VALUE_STRING.match(self._text, pos) or _SCALAR.match(self._text, pos)
        if match is None:
            raise _LostError
        return match.end()

    def _array(self, path: Path, pos: int, depth: int) -> int:
        index = 0
        while not self._text.startswith("]", pos := self._skip(_BLANK, pos)):
            self._define((*path, index), pos)
            pos = self._comma(self._value((*path, index), pos, depth), "]")
            index += 1
        return pos + 1

    def _inline_table(self, path: Path, pos: int, depth: int) -> int:
        while not self._text.startswith("}", pos := self._skip(_BLANK, pos)):
            pos = self._comma(self._pair(path, pos, depth), "}")
        return pos + 1

    def _comma(self, pos: int, close: str) -> int:
        pos = self._skip(_BLANK, pos)
        if self._text.startswith(",", pos):
            return pos + 1
        if not self._text.startswith(close, pos):
            raise _LostError
        return pos

    def _skip(self, pattern: re.Pattern[str], pos: int) -> int:
        match = pattern.match(self._text, pos)
        return match.end() if match else pos
