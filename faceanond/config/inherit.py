"""What a camera takes from the fleet's tables, and where a value that it has was written.

A mistake in a value that forty cameras inherit is one mistake: it is told once, where somebody can mend it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faceanond.config.lines import Path
from faceanond.config.model import PROCESS_WIDE

FLEET_TABLES = ("detector", "track", "anonymise", "encode", "probe", "push", "record")
"""Tables whose keys are the fleet's defaults and may stand in a camera as well."""


def with_defaults(own: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """A camera's own table, with what it leaves out taken from the fleet's tables in `data`."""
    merged = dict(own)
    for key in FLEET_TABLES:
        defaults, table = data.get(key), own.get(key, {})
        if isinstance(defaults, dict) and isinstance(table, dict):
            shared = {name: value for name, value in defaults.items() if (key, name) not in PROCESS_WIDE}
            merged[key] = {**shared, **table}
    return merged


class Written:
    """Answers for one configuration: `data` is what the file and the command line say, under the keys' own names."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data

    def has(self, path: Path) -> bool:
        """Whether somebody wrote that key, or something in place of the table around it."""
        node: object = self._data
        for part in path:
            if not isinstance(node, dict):
                return True
            if part not in node:
                return False
            node = node[part]
        return True

    def origin(self, path: Path) -> Path:
        """The key that the value came from: the fleet's, where a camera has inherited it."""
        inherited = len(path) > 3 and path[0] == "cameras" and path[2] in FLEET_TABLES and not self.has(path[:4])
        return path[2:] if inherited else path

    def blame(self, *paths: Path) -> Path:
        """The one of several keys that do not fit together which is to be changed, the likeliest named first.

        What a camera wrote itself comes before what it inherits, which is right for others, and that before defaults.
        """
        written = [path for path in paths if self.has(path)]
        written += [origin for path in paths if self.has(origin := self.origin(path))]
        return written[0] if written else paths[0]
