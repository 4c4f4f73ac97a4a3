"""The tables of docs/reference/config.md, from the model: `python -m faceanond.config.reference` rewrites them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path as FilePath

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from faceanond.config.describe import names, shown, slot, words
from faceanond.config.lines import Path
from faceanond.config.model import PROCESS_WIDE, Config

BEGIN = "<!-- The tables from here on are made from the model by `python -m faceanond.config.reference`. -->\n"

_SECTIONS: tuple[tuple[str, Path], ...] = (
    *((f"[{name}]", (name,)) for name in Config.model_fields if name not in ("viewers", "cameras")),
    ("[[webrtc.ice_servers]]", ("webrtc", "ice_servers", 0)),
    ("[viewers.NAME]", ("viewers", "NAME")),
    ("[cameras.NAME]", ("cameras", "NAME")),
)


def tables() -> str:
    """One Markdown section with a table of keys for each table of the file."""
    return "\n".join(f"## `{title}`\n\n{_table(path)}" for title, path in _SECTIONS)


def _table(path: Path) -> str:
    here = slot(path)
    assert here is not None
    assert here.model is not None
    rows = ["| Key | Takes | Default | Meaning |", "|---|---|---|---|"]
    for field, info in here.model.model_fields.items():
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in _row((*path, field), field, info)) + " |")
    return "\n".join(rows) + "\n"


def _row(path: Path, field: str, info: FieldInfo) -> Iterator[str]:
    declared = slot(path)
    assert declared is not None
    others = names(field, info)[1:]
    yield f"`{field}`" + "".join(f" (also `{other}`)" for other in others)
    if declared.model is not None:
        yield from ("a table", f"as [{field}]", f"what differs from [{field}] for this camera, key by key")
        return
    yield words(declared)
    if info.default is PydanticUndefined:
        yield "required"
    else:
        yield "none" if info.default is None else f"`{shown(info.default, declared)}`"
    whole = (path[0], field) in PROCESS_WIDE and len(path) == 2
    yield (info.description or "") + ("; for the whole process, not in a camera" if whole else "")


def updated(page: str) -> str:
    """The page with fresh tables below its marker."""
    head, marker, _ = page.partition(BEGIN)
    if not marker:
        raise ValueError("the page has no marker for the tables")
    return f"{head}{BEGIN}\n{tables()}"


if __name__ == "__main__":
    target = FilePath(sys.argv[1] if len(sys.argv) > 1 else "docs/reference/config.md")
    target.write_text(updated(target.read_text(encoding="utf-8")), encoding="utf-8")
