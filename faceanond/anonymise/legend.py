"""The words in the picture's corner. Drawn last and opaque, so they can hide but never show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from faceanond.anonymise.lettering import lettered, paste
from faceanond.anonymise.planes import Planes, even

Field = Literal["fps", "name", "time"]
"""What a legend may tell."""


def legend_text(fields: Sequence[Field], *, camera: str, fps: float, wall: float) -> str:
    """The configured fields in their order; an unknown rate (0) is left out. `wall` is in seconds since the epoch."""
    words = {
        "name": camera,
        "fps": f"{fps:.1f} fps" if fps > 0 else "",
        "time": datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }
    return "  ".join(words[field] for field in fields if words[field])


def draw_legend(planes: Planes, text: str) -> None:
    """Writes the text into the upper left corner; nothing when it is empty."""
    if not text:
        return
    size = max(12, planes.height // 36)
    margin = even(size // 3)
    paste(planes, lettered(text, size), margin, margin)
