"""From measured times to the number of cameras. Pure.

Rule: a machine carries what its slowest resource carries. The resources are the processor, which all stages share; the
detector, which serves all cameras one batch after the other; and, where it was seen to fall short, all together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from faceanond.stats import HistogramSnapshot

PLANNED = 0.8
"""Share of the machine that is planned to be used: the rest is for viewers, pages, busier scenes and bad moments."""
KEPT_UP = 0.9
"""Share of the frames that must come out for the cameras to have been carried: so near the limit a few are lost."""
ENOUGH_FRAMES = 20
"""Frames that a common run must have brought before its cost, or what it lost, means anything."""
LONGEST_RUN = 10.0
"""Seconds that a common run of large pictures may last to bring so many."""
FULL_LOAD = 0.9
"""Share of what the parts can do that the common run asks for. Near the limit, because a frame costs up to a quarter
more on a machine that idles between two of them. Falling behind at a higher load shows no limit but the parts' own."""
DISTURBED = 0.1
"""Share of the cores that other programs may take before the numbers are called too high."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds a frame."""

    mean: float
    median: float
    p95: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Of at least one value. The 95th percentile is the nearest value that really occurred."""
        ordered = sorted(values)
        return Spread(fmean(ordered), median(ordered), ordered[math.ceil(0.95 * len(ordered)) - 1])


@dataclass(frozen=True, slots=True)
class Cost:
    """What one stage takes: processor time of all threads, and time that passes."""

    frames: int
    cpu: Spread
    wall: Spread


@dataclass(slots=True)
class Times:
    """Milliseconds a frame, collected."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def cost(self) -> Cost:
        return Cost(len(self.cpu), Spread.of(self.cpu), Spread.of(self.wall))


@dataclass(frozen=True, slots=True)
class BatchCost:
    """Milliseconds a frame when so many `frames` go through the detector at once; means."""

    frames: int
    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Together:
    """What came of so many whole pipelines that ran for `seconds`. Counts are of all cameras.

    Each camera was to send `rate` frames a second. `looked` frames were published with the detector's verdict,
    `concealed` ones without.
    """

    cameras: int
    rate: float
    seconds: float
    captured: int
    looked: int
    concealed: int
    cpu_seconds: float
    batch: float

    @property
    def asked(self) -> float:
        """Frames a second that all cameras were to send."""
        return self.cameras * self.rate

    @property
    def sent(self) -> float:
        """Frames a second that they really sent."""
        return self.captured / self.seconds

    @property
    def came_out(self) -> float:
        """Frames a second that came out."""
        return self.looked / self.seconds

    @property
    def share(self) -> float:
        """The part of what they were to send that came out, 0 to 1."""
        return min(1.0, self.came_out / self.asked)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the machine carries. `limits` are frames a second of all cameras, by resource; the smallest is `limit`.

    `work` is the processor's milliseconds for one frame, with what joining the stages costs: `overhead` times the
    stages' own (None: not known, counted as 1).
    """

    cameras: int
    frames_per_second: float
    limit: str
    limits: Mapping[str, float]
    work: float
    overhead: float | None


def capacity(
    stages: Mapping[str, Cost],
    batches: Sequence[BatchCost],
    together: Together | None,
    *,
    cores: float,
    fps: float,
    others: float = 0.0,
) -> Capacity:
    """`stages` has decode, detect, seal and encode; `batches` at least the batch of one.

    `others` is the share of the cores that other programs took meanwhile: beyond a little, frames that did not come
    out say nothing about this program.
    """
    batch = likely_batch(batches, fps)
    detect = stages["detect"].cpu.mean if batch.frames == 1 else batch.cpu
    alone = sum(cost.cpu.mean for name, cost in stages.items() if name != "detect") + detect
    overhead = None if together is None else overhead_of(stages, detect, together)
    work = alone * (overhead or 1.0)
    limits = {"processor": 1000 * cores / work, "detector": 1000 / batch.wall}
    if together is not None and others < DISTURBED and _fell_behind(together, min(limits.values())):
        limits["together"] = together.came_out
    limit = min(limits, key=lambda name: limits[name])
    carried = limits[limit]
    return Capacity(math.floor(PLANNED * carried / fps + 1e-9), carried, limit, limits, work, overhead)


def asked_too_much(together: Together, carried: Capacity) -> bool:
    """Whether the common run fell behind at a load that the parts do not even promise, now that it is known what
    joining them costs. What came out then is no limit: with fewer frames to decode in vain, more would have."""
    return together.share < KEPT_UP and together.asked > min(carried.limits["processor"], carried.limits["detector"])


def _fell_behind(together: Together, promised: float) -> bool:
    """Whether frames were lost that the parts alone, which promise so many a second, would have carried."""
    return together.asked <= promised and together.share < KEPT_UP and together.captured >= ENOUGH_FRAMES


def likely_batch(batches: Sequence[BatchCost], fps: float) -> BatchCost:
    """The batch that comes about when the detector is at its limit. It takes whatever waits, faster or not, and one
    frame of each camera waits at most: so the largest batch whose cameras it can still serve."""
    possible = [batch for batch in batches if batch.frames == 1 or PLANNED * 1000 / batch.wall / fps >= batch.frames]
    return max(possible, key=lambda batch: batch.frames)


def overhead_of(stages: Mapping[str, Cost], detect: float, together: Together) -> float | None:
    """How many times the stages' own processor time the common run took for the same frames; None when too few came
    through, or so many without a verdict that nobody knows what was done for them."""
    if together.looked < ENOUGH_FRAMES or together.concealed > (1 - KEPT_UP) * together.looked:
        return None
    published = together.looked + together.concealed
    expected = together.captured * stages["decode"].cpu.mean + published * (
        detect + stages["seal"].cpu.mean + stages["encode"].cpu.mean
    )
    return 1000 * together.cpu_seconds / expected


def full_load(frames_per_second: float, fps: float, most: int) -> tuple[int, float]:
    """How many cameras of at most `fps`, and of which rate, nearly fill a machine that can do so many frames."""
    wanted = FULL_LOAD * frames_per_second
    cameras = max(1, min(most, math.ceil(wanted / fps)))
    return cameras, min(fps, wanted / cameras)


def run_seconds(seconds: float, asked: float) -> float:
    """How long a common run with so many frames a second must last at least, when so long was planned. A third more
    than enough: some frames will be late."""
    return max(seconds, min(LONGEST_RUN, 4 / 3 * ENOUGH_FRAMES / asked))


def mean_between(before: HistogramSnapshot | None, after: HistogramSnapshot) -> float | None:
    """The mean of what a histogram observed between two snapshots; None when there was nothing."""
    count = after.count - (before.count if before else 0)
    total = after.total - (before.total if before else 0.0)
    return total / count if count else None


def there_and_back(count: int) -> list[int]:
    """Places in a clip of so many pictures, for playing it over and over without a jump: 0 1 2 3 2 1."""
    forth = list(range(count))
    return forth + forth[-2:0:-1]
