"""Whole cameras through the daemon's own pipelines, for a moment of real time."""

from __future__ import annotations

from pathlib import Path

import pytest

from faceanond.capture.demo import DemoOptions
from faceanond.capture.demo_clip import write_demo_clip
from faceanond.clock import SystemClock
from faceanond.config.model import Camera
from faceanond.config.model import Detector as DetectorConfig
from faceanond.config.types import Source as SourceUrl
from faceanond.daemon.bench import together as module
from faceanond.daemon.bench.figures import Together
from faceanond.daemon.bench.together import PlayedAt, run_together
from faceanond.errors import DetectionError
from faceanond.inference.batcher import BROKEN_AFTER
from tests.capture.test_pacing import SteppedClock
from tests.daemon.bench.notebook import NotebookDetector

pytestmark = pytest.mark.may_block


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    path = str(tmp_path / "clip.mkv")
    write_demo_clip(path, DemoOptions(160, 120, 20.0), frames=20, within=60, clock=SystemClock())
    return Camera(source=SourceUrl("file", path))


async def run(detector: NotebookDetector, camera: Camera, cameras: int) -> Together:
    return await run_together(
        detector,
        DetectorConfig(),
        camera,
        cameras=cameras,
        rate=20.0,
        speed=1.0,
        seconds=1.0,
        clock=SystemClock(),
    )


async def test_the_frames_of_all_cameras_are_counted(camera: Camera) -> None:
    detector = NotebookDetector()
    found = await run(detector, camera, cameras=3)
    assert (found.cameras, found.rate) == (3, 20)
    assert found.seconds >= 1.0
    assert found.captured > 0
    assert found.looked > 0
    assert found.concealed == 0
    assert found.cpu_seconds > 0
    assert 1 <= found.batch <= 3
    cameras = {request.frame.id.camera for batch in detector.batches for request in batch}
    assert cameras == {"bench-0", "bench-1", "bench-2"}
    assert not detector.closed, "it belongs to the caller"


def test_a_recording_is_played_at_another_pace() -> None:
    clock = SteppedClock()
    slow, fast = (PlayedAt(clock, speed=speed, longest=60.0, wait=clock.wait) for speed in (0.5, 4.0))
    for pacer, passed in ((slow, 4.0), (fast, 0.5)):
        assert pacer.until(10.0)
        before = clock.monotonic()
        assert pacer.until(12.0)
        assert clock.monotonic() - before == pytest.approx(passed)


async def test_the_start_is_not_counted(camera: Camera) -> None:
    detector = NotebookDetector()
    found = await run(detector, camera, cameras=1)
    assert found.looked < sum(map(len, detector.batches))


async def test_frames_that_the_detector_refuses_are_concealed_and_do_not_count_as_carried(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STARTS_WITHIN", 0.0)
    monkeypatch.setattr(module, "SETTLE", 0.0)
    monkeypatch.setattr("faceanond.inference.batcher.BROKEN_AFTER", 10_000)
    found = await run(NotebookDetector(error=DetectionError("nan", "not a number")), camera, cameras=1)
    assert found.looked == 0
    assert found.concealed > 0


async def test_a_detector_that_is_broken_for_good_ends_the_run(camera: Camera) -> None:
    detector = NotebookDetector(error=DetectionError("nan", "not a number"))
    with pytest.RaisesGroup(pytest.RaisesExc(DetectionError, match=f"{BROKEN_AFTER} batches"), flatten_subgroups=True):
        await run(detector, camera, cameras=1)
