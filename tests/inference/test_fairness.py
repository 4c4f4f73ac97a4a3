"""What a too slow detector means for each camera, in simulated time. A core without the 8-bit kernels: twenty million
pyramid pixels a second."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceanond.config.model import DetectOptions
from faceanond.detect.cost import cost
from faceanond.detect.protocol import DetectRequest
from faceanond.errors import DetectionError
from faceanond.frames import Face
from faceanond.inference.batcher import Batcher
from faceanond.inference.pace import BATCH_TIME
from tests.conftest import FakeClock, settle
from tests.inference.fakes import FakeDetector, frame
from tests.inference.fleet import SPEED, Camera, run

BUDGET = int(SPEED * BATCH_TIME)
PATIENCE = 0.5
"""Half of the default timeout."""
SMALL, HD, UHD = (640, 360), (1920, 1080), (3840, 2160)


def cameras(count: int, size: tuple[int, int], fps: float) -> list[Camera]:
    price = cost(size, DetectOptions())
    return [Camera(f"{size[1]}p{number}", fps, price, phase=number * 0.0037) for number in range(count)]


def served(*fleet: Camera, seconds: float = 20.0, budget: int = BUDGET) -> list[list[str]]:
    return run(fleet, seconds=seconds, budget=budget, patience=PATIENCE)


@pytest.mark.parametrize(("count", "least"), [(1, 21), (3, 16), (6, 19), (7, 16)])
def test_one_4k_camera_at_60_fps_leaves_small_ones_at_25_most_of_their_pictures(count: int, least: float) -> None:
    """The 4K camera alone asks for nearly five times what the detector can do; one of its frames takes 80 ms, a small
    one 7 ms. With equal turns six small ones would get 8 fps. Few small cameras leave more time, and it goes to the 4K
    one: a frame that has begun cannot be interrupted, and the detector does not rest while one waits."""
    (huge,), small = cameras(1, UHD, 60), cameras(count, SMALL, 25)
    served(huge, *small)
    for camera in small:
        assert camera.rate(20) >= least
        assert camera.longest <= 0.25, "two batches of its like, after the one 4K frame that was being worked on"
    assert huge.rate(20) >= 1.4
    assert huge.longest <= PATIENCE + 0.2


def test_a_fast_camera_gets_no_more_than_a_slow_one_of_its_size() -> None:
    (fast,), usual = cameras(1, SMALL, 60), cameras(9, SMALL, 25)
    usual = [Camera(f"usual{number}", 25, camera.cost, camera.phase) for number, camera in enumerate(usual)]
    served(fast, *usual)
    rates = [camera.rate(20) for camera in (fast, *usual)]
    assert max(rates) - min(rates) < 1


def test_what_small_cameras_leave_over_is_the_large_ones() -> None:
    small, large = cameras(2, SMALL, 10), cameras(2, HD, 25)
    batches = served(*small, *large)
    assert all(camera.rate(20) == pytest.approx(10, abs=0.1) for camera in small)
    assert all(camera.rate(20) > 10 for camera in large)
    assert len(batches) > 0


def test_while_the_detector_keeps_up_nobody_loses_a_picture() -> None:
    """The detector is busy for 89 % of the time."""
    fleet = [*cameras(1, HD, 10), *cameras(4, SMALL, 20)]
    served(*fleet)
    for camera in fleet:
        assert camera.rate(20) == pytest.approx(camera.fps, rel=0.05)


def test_even_sixteen_4k_cameras_leave_a_small_one_its_turn() -> None:
    small = cameras(1, SMALL, 25)
    fleet = [*cameras(16, UHD, 25), *small]
    served(*fleet)
    for camera in fleet:
        assert camera.longest <= bound(fleet)
    assert small[0].served >= 20 / bound(fleet)


def bound(fleet: Sequence[Camera], budget: int = BUDGET) -> float:
    """Seconds until anybody's answer: patience, the batch that runs then, one frame of everybody, and its own batch."""
    prices = [camera.cost for camera in fleet]
    return PATIENCE + (2 * max(budget, *prices) + sum(prices)) / SPEED


fleets = st.lists(
    st.tuples(st.floats(0.5, 60), st.integers(20_000, 1_500_000), st.floats(0, 1)), min_size=1, max_size=12
)


@settings(deadline=None)
@given(fleets, st.integers(20_000, 2_000_000))
def test_nobody_starves_in_any_fleet(specs: list[tuple[float, int, float]], budget: int) -> None:
    fleet = [Camera(str(number), fps, price, phase) for number, (fps, price, phase) in enumerate(specs)]
    seconds = 10.0
    served(*fleet, seconds=seconds, budget=budget)
    longest = bound(fleet, budget)
    for camera in fleet:
        assert camera.longest <= longest + 1e-9
        # One turn a bound, and until its next picture comes.
        assert camera.served >= int((seconds - camera.phase) / (longest + 1 / camera.fps)) - 1


@settings(deadline=None)
@given(fleets, st.integers(20_000, 1_500_000))
def test_whoever_asks_for_little_waits_for_one_frame_of_each_at_most(
    specs: list[tuple[float, int, float]], budget: int
) -> None:
    """One small frame a second is 2 ms of the detector's time; an equal share would be 77 ms in the largest fleet."""
    little = Camera("little", 1.0, 20_000)
    fleet = [little, *(Camera(str(number), fps, price, phase) for number, (fps, price, phase) in enumerate(specs))]
    served(*fleet, seconds=10.0, budget=budget)
    assert little.longest <= bound(fleet, budget) - PATIENCE + 1e-9


class TimedDetector(FakeDetector):
    """Takes its time, on the fake clock, for each batch; the test lets that time pass."""

    def seconds(self) -> float:
        """How long the batch takes that it works on."""
        return sum(cost(self.sizes[identity.camera], DetectOptions()) for identity in self.batches[-1]) / SPEED

    def __init__(self, sizes: dict[str, tuple[int, int]]) -> None:
        super().__init__(self._nobody)
        self.sizes = sizes | {"known face": (160, 160)}
        self.hold.clear()

    def detect(self, requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
        answers = super().detect(requests)
        self.hold.clear()
        return answers

    @staticmethod
    def _nobody(request: DetectRequest) -> tuple[Face, ...]:
        return ()


class Watched:
    """A camera in front of the real batcher: asks for its newest frame as soon as the one before is answered."""

    def __init__(self, name: str, size: tuple[int, int], fps: float, phase: float) -> None:
        self.name, self.size, self.fps, self.phase = name, size, fps, phase
        self.newest = 0
        self.captured = asyncio.Event()
        self.served = 0
        self.longest = 0.0

    async def capture(self, clock: FakeClock) -> None:
        await clock.sleep(self.phase)
        while True:
            self.newest += 1
            self.captured.set()
            await clock.sleep(1 / self.fps)

    async def ask(self, batcher: Batcher, clock: FakeClock) -> None:
        while True:
            await self.captured.wait()
            self.captured.clear()
            asked = clock.monotonic()
            try:
                await batcher.detect(frame(self.name, self.newest, self.size), DetectOptions())
            except DetectionError as error:
                raise AssertionError(f"{self.name} was not answered: {error}") from error
            self.served += 1
            self.longest = max(self.longest, clock.monotonic() - asked)


async def test_the_batcher_itself_is_fair_in_time(clock: FakeClock) -> None:
    """The first test's fleet with the real queue, its thread and its learning of the pace. All six small cameras fit
    into one batch, so that only the 4K frame waits at its end, until they have come round."""
    huge = Watched("huge", UHD, 60, 0.0)
    small = [Watched(f"small{number}", SMALL, 25, number * 0.0037) for number in range(6)]
    fleet = [huge, *small]
    detector = TimedDetector({camera.name: camera.size for camera in fleet})
    batcher = Batcher(detector, max_batch=16, timeout=1.0, clock=clock)
    seconds = 8.0
    end = clock.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(batcher.run(), name="batcher")]
        for camera in fleet:
            tasks.append(group.create_task(camera.capture(clock), name=f"capture {camera.name}"))
            tasks.append(group.create_task(camera.ask(batcher, clock), name=f"ask {camera.name}"))
        while clock.monotonic() < end:
            await settle()
            if detector.entered.acquire(blocking=False):
                await clock.advance(detector.seconds())
                detector.hold.set()
            elif batcher.statistics().queue_length == 0:
                await clock.advance(0.001)
        detector.hold.set()
        for task in tasks:
            task.cancel()
    for camera in small:
        assert camera.served / seconds >= 15
        assert camera.longest <= 0.3
    assert 1 <= huge.served / seconds <= 3
    assert huge.longest <= 0.5 + 0.3
