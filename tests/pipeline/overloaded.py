"""Cameras in front of a detector that is too slow, in simulated time: sealing takes none but the clock's either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count, pairwise

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.capture.source import StreamInfo
from faceanond.config.model import Camera, DetectOptions, Overload
from faceanond.config.types import Source
from faceanond.frames import Detections, FrameId, RawFrame, Verdict
from faceanond.pipeline.camera import CameraPipeline
from faceanond.pipeline.sealer import Sealed
from faceanond.stats import Histogram, HistogramSnapshot
from faceanond.status import OverloadState
from tests.conftest import FakeClock
from tests.pictures import raw_frame
from tests.publish.sealed import packet

SIZE = (64, 48)
EPSILON = 1e-6


class SlowDetector:
    """Looks at one picture at a time, first come first served, each for so many seconds on the clock."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        self.seconds = seconds
        self.answered: set[FrameId] = set()
        self._clock = clock
        self._turn = asyncio.Lock()

    async def detect(self, frame: RawFrame, options: DetectOptions, expected: object = None) -> Detections:
        async with self._turn:
            await self._clock.sleep(self.seconds)
        self.answered.add(frame.id)
        return Detections(frame.id, ())

    def forget(self, camera: str) -> None:
        return


class SimulatedSealer:
    """Stands in for thread and encoder: makes the picture at once and takes `cost` seconds on the clock for it."""

    def __init__(self, camera: str, settings: Camera, *, clock: FakeClock, cost: list[float]) -> None:
        self._anonymiser = Anonymiser(camera, settings.anonymise, settings.zones, clock=clock)
        self._clock = clock
        self._cost = cost
        self._index = count()
        self.published: list[tuple[float, AnonymisedFrame]] = []

    async def seal(self, make: Callable[[Anonymiser], AnonymisedFrame], *, keyframe: bool) -> Sealed:
        frame = make(self._anonymiser)
        await self._clock.sleep(self._cost[0])
        self.published.append((self._clock.monotonic(), frame))
        return Sealed(frame, [packet(next(self._index), keyframe=keyframe)], None)

    def encode_seconds(self) -> HistogramSnapshot:
        return Histogram(1.0).snapshot()

    async def close(self) -> None:
        return


class Watched:
    """One camera that runs, and everything that it published."""

    def __init__(self, name: str, detector: SlowDetector, clock: FakeClock, cost: list[float], limit: float) -> None:
        settings = Camera.model_validate({"source": Source("demo", ""), "track": {"enabled": False}})
        self.limit, self.clock, self.detector, self.cost = limit, clock, detector, cost
        self.pipeline = CameraPipeline(
            name, settings, detector=detector, clock=clock, overload=Overload(max_latency=limit)
        )
        self.sealer = SimulatedSealer(name, settings, clock=clock, cost=cost)
        self.pipeline._sealer = self.sealer  # type: ignore[assignment]
        self.states: list[tuple[float, OverloadState]] = []
        self._index = count()

    def feed(self) -> None:
        self.pipeline.feed(
            raw_frame(next(self._index), camera=self.pipeline.name, size=SIZE, captured=self.clock.monotonic())
        )

    def note(self) -> None:
        state = self.pipeline.status().overload
        if not self.states or self.states[-1][1] is not state:
            self.states.append((self.clock.monotonic(), state))

    @property
    def state(self) -> OverloadState:
        return self.pipeline.status().overload

    @property
    def rungs(self) -> list[OverloadState]:
        """The states in the order in which they came."""
        return [state for _, state in self.states]

    def since(self, moment: float) -> list[tuple[float, AnonymisedFrame]]:
        """What the camera's own pictures became after that moment; when each went out."""
        return [
            (at, frame) for at, frame in self.sealer.published if at >= moment and frame.verdict is not Verdict.HELD
        ]

    def check(self) -> None:
        """The promises: no picture without its own verdict, none too old, and every picture accounted for."""
        for at, frame in self.sealer.published:
            if frame.verdict is Verdict.HELD:
                assert frame.source is None or frame.source in self.detector.answered
                continue
            age = at - frame.captured
            if frame.verdict is Verdict.FULL:
                assert age <= self.limit + 2 * self.cost[0] + EPSILON, f"concealed after {age:.2f} s"
            else:
                assert frame.source in self.detector.answered, "shown without a verdict"
                assert age <= self.limit + self.cost[0] + EPSILON, f"shown after {age:.2f} s"
        status = self.pipeline.status()
        shown = sum(count for verdict, count in status.published.items() if verdict is not Verdict.HELD)
        dropped = sum(count for (stage, _), count in status.dropped.items() if stage != "viewer")
        assert 0 <= status.captured - shown - dropped <= 7, "one waits, one is looked at, four wait, one is sealed"

    def check_all_done(self) -> None:
        """The same when nothing is on its way any more."""
        status = self.pipeline.status()
        shown = sum(count for verdict, count in status.published.items() if verdict is not Verdict.HELD)
        dropped = sum(count for (stage, _), count in status.dropped.items() if stage != "viewer")
        assert status.captured == shown + dropped


async def play(cameras: Sequence[Watched], seconds: float, fps: float = 25.0) -> None:
    """Lets the cameras deliver pictures for so long, one after the other within each step."""
    clock = cameras[0].clock
    for _ in range(round(seconds * fps)):
        for camera in cameras:
            camera.feed()
            await clock.advance(1 / fps / len(cameras))
            camera.note()


@asynccontextmanager
async def overloaded(
    clock: FakeClock, *, detection: float, sealing: float = 0.002, limit: float = 1.0, cameras: int = 1
) -> AsyncIterator[list[Watched]]:
    """So many cameras that share one detector; `detection` and `sealing` are seconds a picture."""
    detector = SlowDetector(clock, detection)
    watched = [Watched(f"cam-{number}", detector, clock, [sealing], limit) for number in range(cameras)]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(camera.pipeline.run(), name="run") for camera in watched]
        await asyncio.sleep(0)
        for camera in watched:
            camera.pipeline.opened(StreamInfo("h264", *SIZE, 25.0, live=True))
        try:
            yield watched
        finally:
            for task in running:
                task.cancel()


def gaps(published: Sequence[tuple[float, AnonymisedFrame]]) -> Iterator[float]:
    """Seconds between the captures of pictures that follow each other."""
    times = [frame.captured for _, frame in published]
    yield from (later - earlier for earlier, later in pairwise(times))
