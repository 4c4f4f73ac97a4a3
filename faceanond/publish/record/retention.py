"""Which recordings have to go now. Pure.

The rule: whatever began longer ago than its camera's `keep` goes; then, while all together take more than `max_size`
or less is free than has to be, the oldest goes, whatever camera it is of. What is being written is never among them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

from faceanond.publish.record.index import Index, Segment

AGE, SIZE, SPACE = "age", "size", "space"
REASONS = (AGE, SIZE, SPACE)
"""Why a recording is deleted; the label of `record_deleted_total`."""


@dataclass(frozen=True, slots=True)
class Due:
    """A recording that has to go, and why."""

    segment: Segment
    reason: str


def due(index: Index, now: int, keep: Callable[[str], float], *, max_size: int, lacking: int) -> list[Due]:
    """What has to go at that time (milliseconds since 1970), the oldest of each reason first.

    `keep` gives a camera's seconds, 0 for no limit; `lacking` is how many bytes more should be free on the disk.
    """
    found = [
        Due(segment, AGE)
        for camera in index.cameras()
        if (seconds := keep(camera)) > 0
        for segment in takewhile(lambda one, limit=seconds: one.start + limit * 1000 <= now, index.finished(camera))  # type: ignore[misc]
    ]
    gone = {one.segment.name for one in found}
    freed = sum(one.segment.size for one in found)
    too_much = index.size - max_size
    for segment in index.by_age():
        if freed >= max(too_much, lacking):
            break
        if segment.name not in gone:
            found.append(Due(segment, SIZE if freed < too_much else SPACE))
            freed += segment.size
    return found
