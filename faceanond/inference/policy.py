"""Which frames the next batch holds. Pure: no threads, no clock.

Rule: at most one frame of each camera waits, a newer one in the place of the older, and the camera that was served
longest ago comes first. So a 4K or 60 fps camera gets no more turns than a small one, no camera waits for ever, and
the queue can never hold more frames than there are cameras.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class WaitingFrames(Generic[T]):
    """The queue. Cameras that never had a turn come first, in the order in which they asked."""

    def __init__(self) -> None:
        self._by_camera: dict[str, T] = {}
        self._served: dict[str, int] = {}
        self._turn = 0

    def __len__(self) -> int:
        return len(self._by_camera)

    def put(self, camera: str, item: T) -> T | None:
        """Adds the camera's frame; returns the older one that it replaced."""
        older = self._by_camera.get(camera)
        self._by_camera[camera] = item  # an existing key keeps its place
        return older

    def remove(self, camera: str) -> T | None:
        """Takes the camera's frame out of the queue and forgets when it had its turn."""
        self._served.pop(camera, None)
        return self._by_camera.pop(camera, None)

    def discard(self, camera: str, item: T) -> None:
        """Takes this very frame out, if it still waits."""
        if self._by_camera.get(camera) is item:
            del self._by_camera[camera]

    def take(self, most: int, wanted: Callable[[T], bool]) -> list[T]:
        """The next batch, of at most so many frames. Frames that nobody wants any more are dropped on the way."""
        batch: list[T] = []
        for camera in sorted(self._by_camera, key=lambda name: self._served.get(name, 0)):
            if len(batch) >= most:
                break
            item = self._by_camera.pop(camera)
            if wanted(item):
                batch.append(item)
                self._turn += 1
                self._served[camera] = self._turn
        return batch

    def clear(self) -> list[T]:
        """Empties the queue; returns what was in it."""
        items = list(self._by_camera.values())
        self._by_camera.clear()
        return items
