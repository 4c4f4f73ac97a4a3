"""The leak probe with the real encoder, decoder and network: it sees what was left open, and not what was masked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.capture.demo import DemoOptions, DemoSource
from faceanond.clock import SystemClock
from faceanond.config.model import Anonymise, Camera, Encode, Probe
from faceanond.config.model import Detector as DetectorSettings
from faceanond.config.types import Source
from faceanond.detect.factory import open_detector
from faceanond.detect.protocol import Detector
from faceanond.frames import Detections, Face, RawFrame
from faceanond.inference.batcher import Batcher
from faceanond.pipeline.probe import LeakProbe, ProbeResult
from faceanond.publish.encoder import Encoder
from tests.conftest import FakeClock, settle


@pytest.fixture(scope="module")
def mtcnn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    opened = open_detector(DetectorSettings(device="cpu", threads=1), cache=tmp_path_factory.mktemp("graphs"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def scene() -> tuple[RawFrame, tuple[Face, ...]]:
    """A picture of the demo, and where its faces truly are."""
    source = DemoSource("lobby", DemoOptions(faces=2, seed=3), generation=1, clock=SystemClock())
    source.open()
    index = next(
        index
        for index in range(2000)
        if len([box for box in source.true_boxes(index) if box.x1 > 0 and box.x2 < 1280 and box.width > 50]) == 2
    )
    frame = source.frame(index)
    return frame, tuple(Face(box, 1.0) for box in source.true_boxes(index))


async def probed(
    mtcnn: Detector, frame: RawFrame, *hidden: Face, method: str = "mosaic", bitrate: int = 2_000_000
) -> LeakProbe:
    """One probe of the picture in which these faces were hidden."""
    clock = FakeClock()
    sealed = Anonymiser("lobby", Anonymise.model_validate({"method": method}), clock=clock).seal(
        frame, Detections(frame.id, hidden), fps=25
    )
    packets = Encoder("lobby", Encode(bitrate=bitrate), clock=clock).encode(sealed)
    settings = Camera(source=Source("demo", ""), probe=Probe(interval=1.0))
    batcher = Batcher(mtcnn, max_batch=4, timeout=20.0, clock=clock)
    probe = LeakProbe("lobby", settings, detector=batcher, clock=clock, phase=lambda name: 0.0)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(batcher.run(), name="batcher"), tasks.create_task(probe.run(), name="probe")]
        await settle()
        await clock.advance(1.0)
        probe.offer(sealed, packets)
        async with asyncio.timeout(20):
            await probe.idle.wait()
        for task in running:
            task.cancel()
    return probe


@pytest.mark.parametrize("bitrate", [2_000_000, 300_000])
async def test_faces_that_nobody_masked_are_seen(
    mtcnn: Detector, scene: tuple[RawFrame, tuple[Face, ...]], bitrate: int
) -> None:
    frame, faces = scene
    with capture_logs() as logs:
        probe = await probed(mtcnn, frame, bitrate=bitrate)
    assert probe.results == {ProbeResult.RESIDUAL: 1}
    assert probe.residual_faces >= len(faces)
    (line,) = [line for line in logs if line["log_level"] == "error"]
    x1, y1, x2, y2 = line["box"]
    assert any(
        x1 < (face.box.x1 + face.box.x2) / 2 < x2 and y1 < (face.box.y1 + face.box.y2) / 2 < y2 for face in faces
    )


async def test_one_face_that_was_forgotten_beside_one_that_was_not_is_seen(
    mtcnn: Detector, scene: tuple[RawFrame, tuple[Face, ...]]
) -> None:
    frame, faces = scene
    probe = await probed(mtcnn, frame, faces[0])
    assert (dict(probe.results), probe.residual_faces) == ({ProbeResult.RESIDUAL: 1}, 1)


@pytest.mark.parametrize("method", ["mosaic", "blur", "solid"])
async def test_faces_that_are_masked_are_no_alarm(
    mtcnn: Detector, scene: tuple[RawFrame, tuple[Face, ...]], method: str
) -> None:
    frame, faces = scene
    probe = await probed(mtcnn, frame, *faces, method=method)
    assert probe.results == {ProbeResult.CLEAR: 1}
