"""Which frames the next batch holds. Pure: no threads, and time is what the caller says it is.

Rule: at most one frame of each camera waits, a newer one in the place of the older, so the queue never holds more
frames than there are cameras. Under overload each camera gets an equal share of the detector's time, not of its turns:
with equal turns one 4K camera would slow every small one down to its own pace. And nobody waits for ever: a frame that
has waited for longer than `patience` goes first, in the order of turns, whatever its camera has consumed.

How: start-time fair queueing. The queue has a virtual time, each camera an account. A frame's start tag is the later
of the virtual time at its arrival and the end tag of its camera's frame before; its end tag is the start tag plus its
cost. The smallest start tag goes first, and the virtual time follows the tags that are served. So a camera pays for
its frames with waiting, whoever asks for less than its share does not pay, and nobody saves up while away. What goes
first because it waited too long pays as if its turn had come, so that no debt is larger than one frame.

Bounds, in detector time: a camera that asks for less than its share waits for the running batch and at most one frame
of each other camera; any other for `patience` more. What fits into one batch goes together, so shares are equal where
the queue is longer than a batch. Shown in tests/inference/test_fairness.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Place(Generic[T]):
    """A camera's place in the queue; a newer frame takes it over."""

    item: T
    cost: int
    start: int
    since: float


@dataclass(frozen=True, slots=True)
class _Account:
    """What a camera has had: the end tag of its last frame, and when its turn was, counted in frames of all."""

    end: int = 0
    turn: int = 0


class WaitingFrames(Generic[T]):
    """The queue. Cameras that never had a turn come first, in the order in which they asked."""

    def __init__(self, *, patience: float) -> None:
        """`patience`: seconds."""
        self._patience = patience
        self._places: dict[str, _Place[T]] = {}
        self._accounts: dict[str, _Account] = {}
        self.batches = 0
        """How many have been taken so far."""
        self._virtual = 0
        self._turn = 0
        self._returning: int | None = None

    def __len__(self) -> int:
        return len(self._places)

    def put(self, camera: str, item: T, *, cost: int, now: float) -> T | None:
        """Adds the camera's frame; returns the older one that it replaced."""
        place = self._places.get(camera)
        if place is None:
            start = max(self._virtual, self._account(camera).end)
            self._places[camera] = _Place(item, cost, start, now)
            return None
        older, place.item, place.cost = place.item, item, cost
        return older

    def remove(self, camera: str) -> T | None:
        """Takes the camera's frame out of the queue and forgets what it has had."""
        self._accounts.pop(camera, None)
        place = self._places.pop(camera, None)
        return None if place is None else place.item

    def discard(self, camera: str, item: T) -> None:
        """Takes this very frame out, if it still waits."""
        place = self._places.get(camera)
        if place is not None and place.item is item:
            del self._places[camera]

    def take(self, most: int, *, budget: int, now: float, wanted: Callable[[T], bool]) -> list[T]:
        """The next batch: at most so many frames, which cost no more than `budget` unless a single one does.

        Frames that nobody wants any more are dropped on the way. Empty although frames wait only while answers to the
        last batch are on their way and one of its cameras ranks before all that wait: see `came_round`.
        """
        for camera in [camera for camera, place in self._places.items() if not wanted(place.item)]:
            del self._places[camera]
        order = sorted(self._places, key=lambda camera: self._rank(camera, now))
        if not order or self._is_better_awaited(order[0], now):
            return []
        batch: list[str] = []
        left = budget
        for camera in order[:most]:
            left -= self._places[camera].cost
            if batch and left < 0:
                break  # and nobody behind it overtakes: the order is what bounds its wait
            batch.append(camera)
        return self._served(batch, now)

    def came_round(self, batches: int) -> None:
        """Of so many batches, the last one's cameras have their answers, and who had another frame ready has put it.

        An answered camera's next frame comes a moment after the batch's end. Without that moment a heavy frame which
        has waited for its turn would find the queue empty after every batch of the others, and go each time.
        """
        if batches == self.batches:
            self._returning = None

    def clear(self) -> list[T]:
        """Empties the queue; returns what was in it."""
        items = [place.item for place in self._places.values()]
        self._places.clear()
        return items

    def _account(self, camera: str) -> _Account:
        return self._accounts.get(camera, _Account())

    def _overdue(self, camera: str, now: float) -> bool:
        return now - self._places[camera].since >= self._patience

    def _rank(self, camera: str, now: float) -> tuple[int, int, int]:
        turn = self._account(camera).turn
        return (0, turn, 0) if self._overdue(camera, now) else (1, self._places[camera].start, turn)

    def _is_better_awaited(self, first: str, now: float) -> bool:
        return (
            self._returning is not None
            and not self._overdue(first, now)
            and self._returning < self._places[first].start
        )

    def _served(self, batch: list[str], now: float) -> list[T]:
        in_order = [self._places[camera].start for camera in batch if not self._overdue(camera, now)]
        self._virtual = max(self._virtual, min(in_order, default=0))
        for camera in batch:
            place = self._places[camera]
            start = min(place.start, self._virtual) if self._overdue(camera, now) else place.start
            self._turn += 1
            self._accounts[camera] = _Account(start + place.cost, self._turn)
        self.batches += 1
        self._returning = min(self._accounts[camera].end for camera in batch)
        return [self._places.pop(camera).item for camera in batch]
