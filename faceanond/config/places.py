"""Where a key of the configuration was given: a line of the file, or an override on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from faceanond.config.lines import Document, Path
from faceanond.config.overrides import Override


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """`text` is what people see; ordering goes by `source` (0 the file, 1 the command line) and `number` in it."""

    source: int
    number: int
    text: str


class Places:
    """Answers for one file and its overrides. Later overrides win, and any override wins over the file."""

    def __init__(self, name: str, document: Document) -> None:
        self._name = name
        self._document = document
        self._overrides: list[Override] = []
        self._renamed: dict[Path, Path] = {}

    def add(self, overrides: Sequence[Override]) -> None:
        """Takes the overrides, in their order."""
        self._overrides.extend(overrides)

    def line(self, number: int) -> Place:
        """That line of the file."""
        return Place(0, number, f"{self._name}:{number}")

    def override(self, number: int, text: str) -> Place:
        """The override that came at that position."""
        return Place(1, number, text)

    def rename(self, path: Path, written: Path) -> None:
        """Notes that the key at `path` is called `written` in the file."""
        self._renamed[path] = written

    def of(self, path: Path) -> Place:
        """The place of a key, or of the nearest table around it."""
        for override in reversed(self._overrides):
            if path[: len(override.path)] == override.path:
                return self.override(override.number, override.place)
        written = self._renamed.get(path, path)
        for length in range(len(written), 0, -1):
            around = written[:length]
            if around in self._document.lines:
                break
            for override in self._overrides:
                if override.path[:length] == around:
                    # A table that only an override has brought into being.
                    return self.override(override.number, override.place)
        return self.line(self._document.line(written))
