"""What a row of the catalogue is: a metric, and how its samples are read off a status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from faceanond.stats import HistogramSnapshot

PREFIX = "faceanond_"

S = TypeVar("S")
K = TypeVar("K", bound=str | tuple[str, str])
Value = float | HistogramSnapshot
Samples = Iterable[tuple[tuple[str, ...], Value]]


class Kind(StrEnum):
    """The Prometheus type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric(Generic[S]):
    """One row: `name` is the exposition's without the prefix, `labels` are in the order of the values from `read`."""

    name: str
    kind: Kind
    help: str
    read: Callable[[S], Samples]
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return PREFIX + self.name


def one(read: Callable[[S], Value]) -> Callable[[S], Samples]:
    """A metric without labels of its own."""
    return lambda status: [((), read(status))]


def maybe(read: Callable[[S], HistogramSnapshot | None]) -> Callable[[S], Samples]:
    """A histogram that is absent until its stage exists."""

    def samples(status: S) -> Samples:
        value = read(status)
        return [] if value is None else [((), value)]

    return samples


def each(known: Iterable[K], read: Callable[[S], Mapping[K, float]]) -> Callable[[S], Samples]:
    """One sample for each known value of the closed set, 0 when it never happened, and for each other one seen."""
    zeros = {labels_of(key): 0.0 for key in known}
    return lambda status: (zeros | {labels_of(key): value for key, value in read(status).items()}).items()


def labels_of(key: str | tuple[str, str]) -> tuple[str, ...]:
    """A key as label values; enumerations become plain text."""
    return (str(key),) if isinstance(key, str) else tuple(str(part) for part in key)


def now(values: Iterable[str], current: Callable[[S], str | None]) -> Callable[[S], Samples]:
    """1 for the value that holds now, 0 for the others."""
    known = tuple(values)

    def samples(status: S) -> Samples:
        value = current(status)
        names = known if value is None or value in known else (*known, value)
        return [((str(name),), float(name == value)) for name in names]

    return samples
