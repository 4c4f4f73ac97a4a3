"""How little may be hidden at least, and what is told to somebody who asks for less.

The bounds themselves stand in the model; docs/design/anonymising.md says why they are where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from faceanond.config.lines import Path

FLOORS: Mapping[str, tuple[str, str]] = {
    # key of [anonymise]: (pydantic's error when it is passed, the floor in words)
    "mosaic_level": ("less_than_equal", "at most 12 cells along a face's side"),
    "blur_level": (
        "greater_than_equal",
        "a standard deviation of at least 20 pixels, and of a quarter of the face's side where that is more",
    ),
    "margin": ("greater_than_equal", "the whole of the face's box, which is a margin of 0"),
}
NOTHING = "no picture leaves without its faces hidden"
METHODS: Mapping[str, tuple[str, ...]] = {
    "mosaic": ("pixelate", "pixelated", "pixelation", "pixellate", "pixels", "pixel", "blocks"),
    "blur": ("gaussian", "gaussian_blur", "gauss", "smooth", "blurred"),
    "solid": ("black", "blackout", "black_box", "fill", "filled", "box", "colour", "color", "opaque", "remove"),
}
"""Names that other programs have for the methods."""
_EXEMPT = {
    *("exempt", "exempts", "exemptions", "exception", "exceptions", "exclude", "excluded", "except", "ignore"),
    *("allow", "allowed", "allowlist", "allow_list", "whitelist", "white_list", "known_faces", "skip", "visible"),
    *("unmask", "unmasked", "show", "show_faces", "keep"),
}
_SWITCHES = {"enabled", "enable", "disabled", "disable", "active", "off", "on"}


def too_weak(kind: str, path: Path) -> str | None:
    """The sentence about a value of [anonymise] that hides less than the floor; None when that is not the mistake."""
    if path[-2:-1] != ("anonymise",) or path[-1] not in FLOORS:
        return None
    error, floor = FLOORS[str(path[-1])]
    return f"hides less than the floor: {floor}" if kind == error else None


def asks_for_nothing(found: object) -> bool:
    """Whether a method is one that hides nothing."""
    nothing = {"", "none", "no", "off", "raw", "false", "disabled", "null", "clear", "original"}
    return found is False or (isinstance(found, str) and found.strip().lower() in nothing)


def method_meant(found: object) -> str | None:
    """The method that goes by that name elsewhere, or that was misspelt."""
    if not isinstance(found, str):
        return None
    name = found.strip().lower().replace("-", "_").replace(" ", "_")[:40]
    if name in METHODS:
        return name
    known = {other: method for method, others in METHODS.items() for other in (method, *others)}
    close = get_close_matches(name, known, 1, 0.7)
    return known[close[0]] if close else None


def asks_to_show(path: Path) -> str | None:
    """The sentence about a key that would leave somebody visible; None for any other unknown key."""
    key = str(path[-1]).lower().replace("-", "_")
    table = path[-2] if len(path) > 1 else None
    belongs = len(path) == 1 or table == "anonymise" or (len(path) == 3 and path[0] == "cameras")
    if belongs and key in _EXEMPT:
        return "there are no exemptions: every face that is found is hidden, in every place"
    if table == "anonymise" and key in _SWITCHES:
        return f"anonymising cannot be switched off: {NOTHING}"
    return None
