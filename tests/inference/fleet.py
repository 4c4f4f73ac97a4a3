"""A fleet in front of the queue, in simulated time: what each camera gets when the detector is too slow for all."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from faceanond.inference.policy import WaitingFrames

SPEED = 20_000_000
"""Cost that the detector does in a second."""


@dataclass(slots=True)
class Camera:
    """A camera that delivers `fps` frames a second, each of the same cost. Its newest frame waits in a mailbox while
    one before it is with the queue or the detector, as in the pipeline."""

    name: str
    fps: float
    cost: int
    phase: float = 0.0
    mailbox: bool = False
    asking: bool = False
    since: float = 0.0
    served: int = 0
    waits: list[float] = field(default_factory=list)

    def rate(self, seconds: float) -> float:
        """Frames a second that were looked at."""
        return self.served / seconds

    @property
    def longest(self) -> float:
        """Seconds from asking to the answer at most."""
        return max(self.waits, default=0.0)


def run(
    cameras: Sequence[Camera],
    *,
    seconds: float,
    budget: int,
    patience: float,
    most: int = 16,
    speed: int = SPEED,
    overhead: float = 0.0,
) -> list[list[str]]:
    """Lets so much time pass; the cameras know afterwards how they fared. Returns the batches.

    A batch takes `overhead` seconds and a second for each `speed` of its cost.

    The detector's thread is faster than the event loop: it looks for its next batch before the cameras that it has
    just answered could ask again, which is the worst case for them.
    """
    queue: WaitingFrames[Camera] = WaitingFrames(patience=patience)
    captures = [(camera.phase, number) for number, camera in enumerate(cameras)]
    heapq.heapify(captures)
    batches: list[list[str]] = []
    answered: list[Camera] = []
    now = 0.0

    def ask(camera: Camera) -> None:
        if camera.mailbox and not camera.asking:
            camera.mailbox, camera.asking, camera.since = False, True, now
            queue.put(camera.name, camera, cost=camera.cost, now=now)

    def come_round() -> None:
        for camera in answered:
            camera.asking = False
            ask(camera)
        answered.clear()

    def capture(until: float) -> None:
        nonlocal now
        while captures[0][0] <= until:
            moment, number = heapq.heappop(captures)
            now = max(now, moment)
            camera = cameras[number]
            heapq.heappush(captures, (moment + 1 / camera.fps, number))
            camera.mailbox = True
            ask(camera)
        now = until

    while now < seconds:
        answers = queue.batches
        batch = queue.take(most, budget=budget, now=now, wanted=lambda camera: True)
        come_round()
        queue.came_round(answers)
        batch = batch or queue.take(most, budget=budget, now=now, wanted=lambda camera: True)
        if not batch:
            capture(captures[0][0])
            continue
        batches.append([camera.name for camera in batch])
        capture(now + overhead + sum(camera.cost for camera in batch) / speed)
        for camera in batch:
            camera.served += 1
            camera.waits.append(now - camera.since)
        answered.extend(batch)
    # Who still waits has waited as well.
    for camera in cameras:
        if camera.asking and camera not in answered:
            camera.waits.append(now - camera.since)
    return batches
