"""Which recordings there are, in memory: no request ever looks at the disk to find out. Lives on the event loop."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from faceanond.publish.record.names import Name


@dataclass(frozen=True, slots=True)
class Segment:
    """One recording: its name, when it ends (milliseconds since 1970), and its bytes.

    `complete`: nothing more comes. `lost` counts pictures that are missing because the disk was too slow for them; it
    is known only for what this process has recorded.
    """

    name: Name
    end: int
    size: int
    complete: bool = True
    lost: int = 0

    @property
    def camera(self) -> str:
        return self.name.camera

    @property
    def start(self) -> int:
        """Milliseconds since 1970."""
        return self.name.start


_START = attrgetter("start")


class Index:
    """The segments of all cameras. Those that are being written are in it, and are never among the `finished`."""

    def __init__(self) -> None:
        self._finished: dict[str, list[Segment]] = {}
        self._open: dict[str, Segment] = {}
        self._sizes: dict[str, int] = {}

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(self._sizes.values()) + sum(segment.size for segment in self._open.values())

    def cameras(self) -> Iterable[str]:
        """Every camera that has finished segments, configured or not."""
        return tuple(self._finished)

    def add(self, segment: Segment) -> None:
        """A segment that is finished; the same one twice counts once."""
        self.discard(segment.name)
        insort(self._finished.setdefault(segment.camera, []), segment, key=_START)
        self._sizes[segment.camera] = self._sizes.get(segment.camera, 0) + segment.size

    def discard(self, name: Name) -> None:
        """The (finished) segment is gone, if it was there."""
        segments = self._finished.get(name.camera, [])
        place = bisect_left(segments, name.start, key=_START)
        if place < len(segments) and segments[place].start == name.start:
            self._sizes[name.camera] -= segments.pop(place).size
            if not segments:
                del self._finished[name.camera], self._sizes[name.camera]

    def grow(self, segment: Segment) -> None:
        """What of the camera's current segment is on disk by now."""
        self._open[segment.camera] = segment

    def close(self, camera: str) -> None:
        """The camera has no current segment any more."""
        self._open.pop(camera, None)

    def count(self, camera: str) -> int:
        """Segments of the camera, with the current one."""
        return len(self._finished.get(camera, ())) + (camera in self._open)

    def bytes_of(self, camera: str) -> int:
        current = self._open.get(camera)
        return self._sizes.get(camera, 0) + (current.size if current else 0)

    def oldest(self, camera: str) -> Segment | None:
        """The camera's first segment."""
        finished = self._finished.get(camera)
        return finished[0] if finished else self._open.get(camera)

    def finished(self, camera: str) -> Iterator[Segment]:
        """The camera's finished segments, the oldest first."""
        return iter(self._finished.get(camera, ()))

    def by_age(self) -> Iterator[Segment]:
        """The finished segments of all cameras, the oldest first."""
        return heapq.merge(*self._finished.values(), key=_START)

    def get(self, name: Name) -> Segment | None:
        """The segment of that name, finished or not."""
        current = self._open.get(name.camera)
        if current is not None and current.name == name:
            return current
        segments = self._finished.get(name.camera, [])
        place = bisect_left(segments, name.start, key=_START)
        return segments[place] if place < len(segments) and segments[place].name == name else None

    def between(self, camera: str, start: int, end: int, *, most: int, after: int = -1) -> list[Segment]:
        """At most so many segments of the camera that have something of that time in them, the oldest first.

        Only those that start later than `after`: where a previous answer ended. All times in milliseconds since 1970.
        """
        segments = self._finished.get(camera, [])
        place = bisect_left(segments, start, key=_START)
        # The one before may reach into the time asked for.
        while place > 0 and segments[place - 1].end > start:
            place -= 1
        place = max(place, bisect_left(segments, after + 1, key=_START))
        found: list[Segment] = []
        while place < len(segments) and len(found) < most and segments[place].start < end:
            found.append(segments[place])
            place += 1
        current = self._open.get(camera)
        if current and len(found) < most and current.start < end and current.end > start and current.start > after:
            found.append(current)
        return found

    def latest(self, camera: str, start: int, end: int, *, most: int) -> list[Segment]:
        """As `between`, but the newest first; with the start of the last one as `end` the next answer goes on there."""
        current = self._open.get(camera)
        found = [current] if current and current.start < end and current.end > start else []
        segments = self._finished.get(camera, [])
        place = bisect_left(segments, end, key=_START)
        while place > 0 and len(found) < most and segments[place - 1].end > start:
            place -= 1
            found.append(segments[place])
        return found
