"""The result as text of at most 80 columns, and as JSON. Pure. docs/reference/cli.md describes both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from faceanond.evaluate.tally import SEEN, SIZES, FaceFrame, Leak, Row, SizeClass, Tally, seen_clearly
from faceanond.evaluate.truth import Visibility
from faceanond.frames import Verdict

WORST = 10
"""Leaks that the text lists; JSON has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was counted on one clip, and what a frame cost in milliseconds."""

    clip: str
    sha256: str
    size: tuple[int, int]
    truth: str
    settings: Mapping[str, Mapping[str, object]]
    tally: Tally
    cpu_ms: float
    wall_ms: float


def as_json(result: Result) -> dict[str, object]:
    """One object. Shares are 0 to 1, areas in areas of the labelled faces; null where there is no face."""
    tally = result.tally
    return {
        "clip": result.clip,
        "sha256": result.sha256,
        "width": result.size[0],
        "height": result.size[1],
        "truth": result.truth,
        "settings": {name: dict(table) for name, table in result.settings.items()},
        "frames": {
            "judged": tally.frames,
            "concealed": tally.concealed,
            "verdicts": {verdict.value: tally.verdicts[verdict] for verdict in Verdict},
            "reasons": dict(sorted(tally.reasons.items())),
        },
        "classes": [
            {
                "visibility": visibility.value,
                "size": str(size),
                "smallest": size.smallest,
                "limit": None if math.isinf(size.limit) else size.limit,
                **_row(row),
            }
            for visibility, size, row in _classes(tally)
        ],
        "clear_from_20": _row(tally.row(seen_clearly)),
        "all": _row(tally.row(_everything)),
        "masking": {
            "masked_to_faces": _rounded(tally.masked_to_faces),
            "over_masking": _rounded(tally.over_masking),
            "elsewhere": _rounded(tally.elsewhere_to_faces),
            "picture_share": _rounded(tally.picture_share),
        },
        "leaks": [
            {
                "track": leak.track,
                "first": leak.first,
                "last": leak.last,
                "frames": len(leak.faces),
                "clear": leak.clear,
                "size": str(leak.size),
            }
            for leak in tally.leaks()
        ],
        "cost": {"cpu_ms": _rounded(result.cpu_ms), "wall_ms": _rounded(result.wall_ms)},
    }


def as_text(result: Result) -> list[str]:
    """Lines for people."""
    tally = result.tally
    counts = ", ".join(f"{tally.verdicts[verdict]} {verdict.value}" for verdict in Verdict if tally.verdicts[verdict])
    return [
        f"{result.clip}: {tally.frames} frames judged ({counts})",
        *(f"  {count} because of: {reason.replace('_', ' ')}" for reason, count in sorted(tally.reasons.items())),
        "",
        *_table(tally),
        "",
        *_masking(tally),
        *_worst(tally.leaks()),
        f"cost of a frame           {result.cpu_ms:8.2f} ms CPU, {result.wall_ms:.2f} ms wall (judging included)",
    ]


def _table(tally: Tally) -> Iterator[str]:
    yield "face               face-frames  concealed  leaked       %  longest  over-masking"
    for visibility, size, row in _classes(tally):
        yield _line(f"{visibility.value} {size} px", row)
    yield _line(f"clear from {SEEN:g} px", tally.row(seen_clearly))
    yield _line("all", tally.row(_everything))


def _line(name: str, row: Row) -> str:
    share = "-" if row.share is None else f"{100 * row.share:.2f}"
    return (
        f"{name:18} {row.face_frames:11}  {row.concealed:9}  {row.leaked:6}  {share:>6}  {row.longest:7}  "
        f"{_times(row.over):>12}"
    )


def _masking(tally: Tally) -> Iterator[str]:
    yield f"masked area               {_times(tally.masked_to_faces):>8} of the faces' area"
    yield (
        f"over-masking              {_times(tally.over_masking):>8} of the faces' area, "
        f"{_times(tally.elsewhere_to_faces)} where no face is"
    )
    yield f"masked share of a picture {100 * tally.picture_share:8.2f} %"
    if tally.concealed:
        yield f"concealed as a whole      {tally.concealed:8} frames: only the share above holds their area"


def _worst(leaks: list[Leak]) -> Iterator[str]:
    for number, leak in enumerate(leaks[:WORST]):
        span = f"{leak.first}-{leak.last}"
        yield (
            f"{'worst leaks' if number == 0 else '':11} track {leak.track:<5} frames {span:11} "
            f"{len(leak.faces):4} long, {leak.clear:4} clear, {leak.size} px"
        )
    if len(leaks) > WORST:
        yield f"{'':11} and {len(leaks) - WORST} more"


def _classes(tally: Tally) -> Iterator[tuple[Visibility, SizeClass, Row]]:
    for visibility in Visibility:
        for size in SIZES:
            yield visibility, size, tally.row(partial(_is_of, visibility, size))


def _is_of(visibility: Visibility, size: SizeClass, face: FaceFrame) -> bool:
    return face.label.visibility is visibility and face.label.side in size


def _everything(face: FaceFrame) -> bool:
    del face
    return True


def _row(row: Row) -> dict[str, object]:
    return {
        "face_frames": row.face_frames,
        "concealed": row.concealed,
        "leaked": row.leaked,
        "leaked_share": _rounded(row.share),
        "longest_leak": row.longest,
        "over_masking": _rounded(row.over),
    }


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
