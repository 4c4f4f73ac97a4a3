"""Writes random TOML documents and remembers the line of everything in them."""

from __future__ import annotations

import json

from hypothesis import settings
from hypothesis import strategies as st

from faceanond.config.lines import Path

RANDOM = settings(deadline=None, max_examples=50)
"""No deadline: how fast the machine is at the moment is not what is tested."""

KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True),
    st.text(st.sampled_from("ab .=#[]{}\"'\\é\t"), min_size=0, max_size=4),
)
TEXTS = st.text(st.sampled_from("ab =#[]{}\"'\\\n,é"), max_size=8)
SCALARS = st.one_of(st.integers(-999, 999), st.booleans(), st.floats(-9, 9).map(lambda number: round(number, 3)), TEXTS)


class Writer:
    """One document under construction: `lines` is what a scanner should find, `text` what it is given."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self._out: list[str] = []
        self._line = 1
        self.lines: dict[Path, int] = {}

    @property
    def text(self) -> str:
        return "".join(self._out)

    def pick(self, *options: object) -> object:
        return self._data.draw(st.sampled_from(options))

    def put(self, text: str) -> None:
        self._out.append(text)
        self._line += text.count("\n")

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self._line)

    def gap(self) -> None:
        self.put(str(self.pick("", "", "\n", "# a = [ \" ''' \n", "  \t")))

    def key(self, name: str) -> None:
        bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
        literal = "'" not in name and "\t" not in name
        style = self.pick("bare" if bare else "basic", "basic", "literal" if literal else "basic")
        self.put({"bare": name, "literal": f"'{name}'", "basic": json.dumps(name)}[str(style)])

    def value(self, path: Path, depth: int, *, inline: bool = False) -> object:
        kind = self.pick("scalar", "scalar", "array", "table") if depth < 3 else "scalar"
        if kind == "array":
            return self.array(path, depth)
        if kind == "table":
            return self.inline_table(path, depth)
        scalar = self._data.draw(SCALARS)
        self.put(self.written(scalar))
        return scalar

    def written(self, scalar: object) -> str:
        if isinstance(scalar, bool):
            return "true" if scalar else "false"
        if not isinstance(scalar, str):
            return str(scalar)
        styles = ["basic"]
        if "\\" not in scalar and '"' not in scalar:
            styles.append("long basic")
        if "'" not in scalar:
            styles += ["long literal"] + ([] if "\n" in scalar else ["literal"])
        forms = {
            "basic": json.dumps(scalar),
            "literal": f"'{scalar}'",
            "long basic": f'"""\n{scalar}"""',
            "long literal": f"'''\n{scalar}'''",
        }
        return forms[str(self.pick(*styles))]

    def array(self, path: Path, depth: int) -> list[object]:
        self.put("[")
        elements: list[object] = []
        for index in range(self._data.draw(st.integers(0, 3))):
            self.gap()
            self.note((*path, index))
            elements.append(self.value((*path, index), depth + 1))
            self.gap()
            self.put(",")
        self.gap()
        self.put("]")
        return elements

    def inline_table(self, path: Path, depth: int) -> dict[str, object]:
        self.put("{ ")
        table: dict[str, object] = {}
        for number, name in enumerate(self.names()):
            self.put(", " if number else "")
            self.note((*path, name))
            self.key(name)
            self.put(" = ")
            table[name] = self.value((*path, name), depth + 1)
        self.put(" }")
        return table

    def names(self) -> list[str]:
        return self._data.draw(st.lists(KEYS, max_size=3, unique=True))

    def pairs(self, path: Path, avoid: set[str]) -> dict[str, object]:
        """Keys with values, some dotted."""
        table: dict[str, object] = {}
        for name in self.names():
            if name in avoid:
                continue
            self.gap_line()
            self.note((*path, name))
            self.key(name)
            if self.pick(False, False, True):
                self.put(" . ")
                inner = self._data.draw(KEYS)
                self.note((*path, name, inner))
                self.key(inner)
                self.put("=")
                table[name] = {inner: self.value((*path, name, inner), 1)}
            else:
                self.put(" = ")
                table[name] = self.value((*path, name), 1)
            self.put(str(self.pick("\n", " # end\n", "\n\n")))
        return table

    def gap_line(self) -> None:
        self.put(str(self.pick("", "\n", "# [x]\n", "  ")))

    def document(self) -> dict[str, object]:
        sections = self._data.draw(st.lists(KEYS, max_size=3, unique=True))
        table = self.pairs((), set(sections))
        for name in sections:
            if self.pick(False, True):
                table[name] = self.tables(name)
                continue
            self.header((name,), array=False)
            section = self.pairs((name,), {"sub"})
            if self.pick(False, True):
                self.header((name, "sub"), array=False)
                section["sub"] = self.pairs((name, "sub"), set())
            table[name] = section
        return table

    def tables(self, name: str) -> list[object]:
        found: list[object] = []
        for index in range(self._data.draw(st.integers(1, 3))):
            self.header((name,), array=True, index=index)
            element = self.pairs((name, index), {"sub"})
            if self.pick(False, True):
                self.header((name, "sub"), array=False, at=(name, index, "sub"))
                element["sub"] = self.pairs((name, index, "sub"), set())
            found.append(element)
        return found

    def header(self, names: tuple[str, ...], *, array: bool, index: int = 0, at: Path | None = None) -> None:
        self.gap_line()
        self.note(at or names)
        if array:
            self.note((*names, index))
        self.put("[[ " if array else "[")
        for number, name in enumerate(names):
            self.put("." if number else "")
            self.key(name)
        self.put("]]\n" if array else " ]\n")


def walk(value: object, path: Path = ()) -> set[Path]:
    """Every path below a value."""
    children: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    return {(*path, key) for key, _ in children}.union(*(walk(item, (*path, key)) for key, item in children))
