"""The table: each figure with its target, when it has one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """`value` must be at most `limit`; without a limit it only informs."""

    part: str
    name: str
    value: float
    unit: str = ""
    limit: float | None = None

    @property
    def met(self) -> bool:
        return self.limit is None or self.value <= self.limit

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def table(figures: list[Figure]) -> str:
    """For a terminal, and as Markdown."""
    lines = ["| part | figure | measured | target | |", "|---|---|---|---|---|"]
    for one in figures:
        target = "" if one.limit is None else f"at most {_number(one.limit)} {one.unit}".rstrip()
        verdict = "" if one.limit is None else "met" if one.met else "MISSED"
        measured = f"{_number(one.value)} {one.unit}".rstrip()
        lines.append(f"| {one.part} | {one.name} | {measured} | {target} | {verdict} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    if value == int(value):
        return str(int(value))
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def quantile(values: list[float], share: float) -> float:
    """The nearest-rank quantile; infinite for no values at all."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares: how much y grows with x."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
