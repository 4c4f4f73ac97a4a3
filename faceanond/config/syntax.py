"""Reads TOML, and where it is not TOML goes on behind the mistake, so that one run tells all of them.

`tomllib` stops at the first mistake. The statement that holds it is taken out (a bad header becomes a table that is
thrown away) and the rest is read again.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from faceanond.config.lines import Document, Path, Statement, dotted, nested_too_deep, scan

MOST_MISTAKES = 50
"""Syntax errors told in one run: after so many it is not a TOML file at all."""

_UNREADABLE = "faceanond-unreadable-table-"
_TOO_DEEP = "too many lists and tables within each other"
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Mistake:
    """A syntax error: its line, the key that it concerns as far as known, and what was expected."""

    line: int
    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a text. `data` is the whole of it only when there are no mistakes."""

    data: dict[str, object]
    document: Document
    mistakes: tuple[Mistake, ...]


def read(text: str) -> Reading:
    """Reads any text; never raises."""
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    document = scan(text)
    lines = text.split("\n")
    mistakes: list[Mistake] = []
    removed: set[Statement] = set()
    while len(mistakes) < MOST_MISTAKES:
        try:
            data = tomllib.loads("\n".join(lines))
        except (ValueError, RecursionError) as error:
            statement, mistake = _locate(error, document, text, removed)
            mistakes.append(mistake)
            if statement is None or statement in removed:
                return Reading({}, document, tuple(mistakes))
            removed.add(statement)
            lines[statement.first - 1 : statement.last] = [""] * (statement.last - statement.first + 1)
            if statement.header:
                lines[statement.first - 1] = f"[{_UNREADABLE}{statement.first}]"
        else:
            kept: dict[str, object] = {}
            for key, value in data.items():
                if nested_too_deep(value):
                    mistakes.append(Mistake(document.line((key,)), (key,), _TOO_DEEP))
                elif not key.startswith(_UNREADABLE):
                    kept[key] = value
            return Reading(kept, document, tuple(mistakes))
    return Reading({}, document, tuple(mistakes))


def _locate(
    error: Exception, document: Document, text: str, removed: set[Statement]
) -> tuple[Statement | None, Mistake]:
    """The statement at fault and what to say of it."""
    left = [statement for statement in document.statements if statement not in removed]
    place = _PLACE.search(str(error))
    if isinstance(error, tomllib.TOMLDecodeError) and place:
        end_of_text = text.count("\n") + 1
        line = int(place[1] or end_of_text)
        # What is never closed is noticed far behind the place where it should have been closed.
        before = [statement for statement in left if statement.first <= line]
        statement = next((one for one in before if not one.closed), before[-1] if before else None)
        message = str(error)[: place.start()]
        if statement is None:
            return None, Mistake(line, (), _expected(message, "", 0))
        source = text[statement.start : statement.end]
        indent = statement.start - (text.rfind("\n", 0, statement.start) + 1)
        column = int(place[2]) - 1 - indent if place[1] and line == statement.first else len(source)
        said = _duplicate(message, statement, document) or _expected(message, source, column)
        whole = not statement.closed or line > statement.last
        return statement, Mistake(statement.first if whole else line, statement.path or (), said)
    for statement in left:
        if _beyond_limits(text[statement.start : statement.end]):
            what = _TOO_DEEP if isinstance(error, RecursionError) else "the value is too large"
            return statement, Mistake(statement.first, statement.path or (), what)
    return None, Mistake(1, (), "not readable as TOML")


def _beyond_limits(source: str) -> bool:
    """Whether this statement asks too much of Python: digits without end, or nesting."""
    try:
        tomllib.loads(source)
    except tomllib.TOMLDecodeError:
        return False
    except (ValueError, RecursionError):
        return True
    return False


def _duplicate(error: str, statement: Statement, document: Document) -> str | None:
    """The message for something that is defined twice, with the line of the first time."""
    if not error.startswith(("Cannot declare", "Cannot overwrite", "Cannot redefine", "Cannot mutate", "Duplicate")):
        return None
    path = statement.path
    while path and isinstance(path[-1], int):  # the next element of an array of tables
        path = path[:-1]
    if path is None:
        return "this is defined twice"
    if error.startswith("Duplicate inline"):
        return "a key is given twice between the braces"
    first = document.definition(path)
    if first is None or first >= statement.first:
        # Not the same words twice, but a table where a value is, or the other way round.
        related = (
            one.first
            for one in document.statements
            if one.path and one.first < statement.first and _related(one.path, path)
        )
        where = f": see line {first}" if (first := next(related, None)) else ""
        return f'"{dotted(path)}" cannot be added to what is complete already{where}'
    if len(path) == 2 and path[0] == "cameras":
        return f'camera "{path[1]}" defined twice: first on line {first}, again on line {statement.first}'
    kind = f"table [{dotted(path)}]" if statement.header else "key"
    return f"{kind} defined twice: first on line {first}, again on line {statement.first}"


def _related(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


_EXPECTED: Mapping[str, str] = {
    "Invalid statement": 'expected a key ("name = value"), a table ("[name]") or a comment ("# ...")',
    "Expected newline or end of document after a statement": "expected the end of the line after the value",
    "Expected '=' after a key in a key/value pair": 'expected "=" after the key',
    "Invalid initial character for a key part": "expected a key: letters, digits, _ and -, or anything in quotes",
    "Invalid value": 'expected a value: "text" in quotes, a number, true, false, [a list] or {a = "table"}',
    "Unclosed array": 'expected "," or "]": the list that begins here is not closed',
    "Unclosed inline table": 'expected "," or "}": the table that begins here is not closed on its line',
    "Unterminated string": "expected a closing quotation mark",
    "Expected ']' at the end of a table declaration": 'expected "]" after the table\'s name',
    "Expected ']]' at the end of an array declaration": 'expected "]]" after the table\'s name',
    "Unescaped '\\' in a string": r"expected \\ for a backslash, or a string in 'single quotes', where it is plain",
    "Invalid hex value": r"expected hexadecimal digits after \u or \U",
    "Escaped character is not a Unicode scalar value": r"the number after \u or \U is no character",
    "Invalid date or datetime": "there is no such date or time",
}


def _expected(message: str, source: str, column: int) -> str:
    """What should have been there, in the words of somebody who edits the file."""
    rest = source[max(column, 0) :]
    words = _EXPECTED.get(message, "expected valid TOML")
    if message.startswith(("Illegal character '\\n'", "Found invalid character '\\n'", 'Expected "\'"')):
        words = "expected a closing quotation mark before the end of the line"
    elif message.startswith(("Illegal character", "Found invalid character")):
        words = "a control character that TOML does not allow; delete it"
    elif message.startswith("Expected") and "'''" in message:
        words = "expected a closing '''"
    elif message.startswith("Expected newline") and re.match(r"[^=]*=\s*[A-Za-z0-9]", source):
        words += '; text needs quotes, as in key = "text"'
    elif message == "Invalid value" and not rest.strip():
        words = 'expected a value after "="'
    elif message == "Invalid value" and re.match(r"(?i)(true|false|yes|no|on|off|none|null)\b", rest):
        words = "expected true or false (in small letters), or text in quotes"
    elif message == "Invalid value" and re.match(r"[A-Za-z/.\d]", rest):
        words = 'expected a value; text needs quotes, as in key = "text"'
    return words
