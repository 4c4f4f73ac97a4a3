from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.config.model import Camera
from faceanond.config.types import Source
from faceanond.daemon.fleet import CameraView, Fleet
from faceanond.status import RecordState, RecordStatus
from tests.conftest import FakeClock
from tests.publish.sealed import moving

SETTINGS = Camera.model_validate({"source": Source("demo", "")})


class Pipeline:
    """A pipeline of which only the last picture matters."""

    def __init__(self, frame: AnonymisedFrame | None) -> None:
        self.last_sealed = frame


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def view(pipeline: Pipeline, thread: ThreadPoolExecutor, clock: FakeClock) -> CameraView:
    made = CameraView("yard", SETTINGS, clock=clock)
    made.start(pipeline, thread)  # type: ignore[arg-type]
    return made


async def test_a_snapshots_tag_is_known_before_it_is_made(clock: FakeClock, thread: ThreadPoolExecutor) -> None:
    shown = view(Pipeline(moving(3, start=998.0)), thread, clock)
    tag = shown.snapshot_tag()
    snapshot = await shown.snapshot()
    assert snapshot is not None
    assert snapshot.tag == tag
    assert snapshot.body.startswith(b"\xff\xd8")
    # The fake clock is at 1000: this picture was taken 1.88 s ago.
    assert datetime.fromtimestamp(snapshot.taken, UTC).timestamp() == pytest.approx(clock.wall() - 1.88)


async def test_another_picture_has_another_tag_and_the_same_one_the_same(
    clock: FakeClock, thread: ThreadPoolExecutor
) -> None:
    pipeline = Pipeline(moving(3))
    shown = view(pipeline, thread, clock)
    first = shown.snapshot_tag()
    clock.move(1)
    assert shown.snapshot_tag() == first
    pipeline.last_sealed = moving(4)
    assert shown.snapshot_tag() != first


async def test_before_the_first_picture_there_is_neither(clock: FakeClock, thread: ThreadPoolExecutor) -> None:
    for shown in (CameraView("yard", SETTINGS), view(Pipeline(None), thread, clock)):
        assert shown.snapshot_tag() is None
        assert await shown.snapshot() is None


def test_a_camera_that_has_not_begun_tells_of_its_recordings_all_the_same() -> None:
    fleet = Fleet({"yard": SETTINGS})
    assert fleet.cameras()[0].record == RecordStatus()
    fleet.record(lambda name: RecordStatus(state=RecordState.FAILING, last_error=name))
    (status,) = fleet.cameras()
    assert (status.record.state, status.record.last_error) == (RecordState.FAILING, "yard")
