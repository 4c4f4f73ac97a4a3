from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from faceanond.config.record import Record, RecordOptions
from faceanond.errors import RecordFault
from faceanond.publish.record.disk import Disk, SegmentFile
from faceanond.publish.record.faults import RecordError
from faceanond.publish.record.names import Name
from faceanond.publish.record.service import Recordings
from faceanond.publish.stream import Stream
from faceanond.status import RecordState
from tests.conftest import FakeClock
from tests.publish.record.reel import fake, pieces
from tests.publish.record.studio import MoodyDisk
from tests.waiting import until

NOW = 1_700_001_000_000
"""The fake clock's wall time, in milliseconds since 1970."""
HOUR = 3_600_000
HEAD, FRAGMENTS = pieces(fake(100, size=1000))
ONE = len(HEAD) + sum(map(len, FRAGMENTS))
"""Bytes of a recording made by `old`."""


def old(folder: Path, *names: Name, finish: bool = True) -> None:
    """Recordings of an earlier run."""
    disk = Disk(str(folder), min_free=0)
    for name in names:
        file = SegmentFile(name)
        for number, fragment in enumerate(FRAGMENTS, start=1):
            disk.write(file, HEAD, fragment, length=1000 * number)
        if finish:
            disk.finish(file)
        else:
            file.close()
    disk.close()


def files(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.rglob("*.mp4*"))


class Running:
    """A service that records some cameras."""

    def __init__(self, folder: Path, clock: FakeClock, record: Mapping[str, Any], cameras: tuple[str, ...]) -> None:
        settings = Record(**{"directory": str(folder), "min_free": 0, "segment": 10.0, **record})
        self.clock = clock
        self.streams = {name: Stream(name, clock=clock) for name in cameras}
        options = RecordOptions(enabled=True, segment=10.0, keep=settings.keep)
        self.recordings = Recordings(settings, dict.fromkeys(cameras, options), clock=clock)
        self.disk = MoodyDisk(folder, min_free=settings.min_free)
        self.recordings._disk = self.disk

    def found(self, camera: str = "yard") -> list[int]:
        return [one.start for one in self.recordings.between(camera, 0, 10**15, most=999)]

    async def feed(self, count: int, *, first: int = 0, camera: str = "yard") -> None:
        stream = self.streams[camera]
        for packet in fake(count, first=first):
            stream.write(packet)
            if packet.keyframe:
                await until(lambda: not any(reader._ring for reader in stream._readers))
        await asyncio.sleep(0.01)

    async def recording(self, camera: str = "yard") -> None:
        await until(lambda: self.streams[camera]._readers)


@asynccontextmanager
async def running(
    folder: Path, clock: FakeClock, *, cameras: tuple[str, ...] = ("yard",), **record: Any
) -> AsyncIterator[Running]:
    made = Running(folder, clock, record, cameras)
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(made.recordings.run(made.streams))
            yield made
            task.cancel()
    finally:
        made.disk.answers.set()
        made.disk.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


async def test_what_an_earlier_run_recorded_is_there_also_what_it_did_not_close(folder: Path, clock: FakeClock) -> None:
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread(old, folder, Name("yard", NOW - HOUR))
    await asyncio.to_thread(old, folder, Name("yard", NOW - HOUR // 2), finish=False)
    async with running(folder, clock) as made:
        await made.recording()
        assert made.found() == [NOW - HOUR, NOW - HOUR // 2]
        status = made.recordings.status("yard")
        assert (status.state, status.segments, status.size) == (RecordState.STARTING, 2, 2 * ONE)
        assert status.oldest == (NOW - HOUR) / 1000


async def test_it_records_and_tells_how_it_goes(folder: Path, clock: FakeClock) -> None:
    async with running(folder, clock, cameras=("yard", "gate")) as made:
        await made.recording("gate")
        await made.feed(260, camera="gate")
        await until(lambda: len(made.found("gate")) == 1)
        status = made.recordings.status("gate")
        assert (status.state, status.segments, status.last_error) == (RecordState.RECORDING, 1, None)
        assert status.written == status.size > 200_000
        assert made.recordings.status("yard").state is RecordState.STARTING
        assert made.recordings.status("attic").state is RecordState.OFF
    assert all(name.endswith(".mp4") for name in await asyncio.to_thread(files, folder))


async def test_recordings_go_when_they_are_too_old_also_those_of_cameras_that_are_gone(
    folder: Path, clock: FakeClock
) -> None:
    names = [Name("yard", NOW - 3 * HOUR), Name("attic", NOW - 3 * HOUR), Name("yard", NOW - HOUR)]
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread(old, folder, *names)
    with structlog.testing.capture_logs() as told:
        async with running(folder, clock, keep=7200.0) as made:
            await until(lambda: made.found() == [NOW - HOUR])
            await until(lambda: made.found("attic") == [])
            assert made.recordings.status("yard").deleted == {"age": 1}
            assert made.recordings.status("attic").deleted == {"age": 1}
            await clock.advance(HOUR / 1000 + 20)
            await until(lambda: made.found() == [])
    lines = [line for line in told if line["event"] == "recordings deleted"]
    assert sorted(line["camera"] for line in lines) == ["attic", "yard", "yard"]
    assert {(line["reason"], line["count"]) for line in lines} == {("age", 1)}
    assert await asyncio.to_thread(files, folder) == []


async def test_all_recordings_together_stay_below_their_size(folder: Path, clock: FakeClock) -> None:
    await asyncio.to_thread(folder.mkdir)
    names = [Name(("yard", "gate")[number % 2], NOW - HOUR + number) for number in range(15)]
    await asyncio.to_thread(old, folder, *names)
    async with running(folder, clock, cameras=("yard", "gate"), max_size=1_000_000) as made:
        left = 1_000_000 // ONE
        await until(lambda: len(made.found() + made.found("gate")) == left)
        assert sorted(made.found() + made.found("gate")) == [name.start for name in names[-left:]]
        await made.recording()
        await made.feed(400)
        await clock.advance(10)
        await until(lambda: made.recordings._index.size <= 1_000_000)


async def test_when_little_is_free_recordings_go_and_recording_stops_before_the_rest_is_touched(
    folder: Path, clock: FakeClock
) -> None:
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread(old, folder, *(Name("yard", NOW - HOUR + number) for number in range(4)))
    async with running(folder, clock, min_free=10**18) as made:
        await until(lambda: made.recordings.status("yard").deleted == {"space": 4})
        assert made.found() == []
        await made.recording()
        await made.feed(60)
        await until(lambda: made.recordings.status("yard").failures == {"full": 1})
        status = made.recordings.status("yard")
        assert status.state is RecordState.FAILING
        assert "record.min_free" in str(status.last_error)
    assert await asyncio.to_thread(files, folder) == []


async def test_a_full_disk_is_made_room_on_and_recording_goes_on_by_itself(folder: Path, clock: FakeClock) -> None:
    await asyncio.to_thread(folder.mkdir)
    names = [Name("yard", NOW - HOUR + number) for number in range(4)]
    await asyncio.to_thread(old, folder, *names)
    async with running(folder, clock) as made:
        await made.recording()
        made.disk.capacity = 4 * ONE + 70_000
        await made.feed(150)
        await until(lambda: made.recordings.status("yard").failures == {"full": 1})
        # What had been written is closed and there, and the oldest made room.
        await until(lambda: NOW in made.found() and names[0].start not in made.found())
        assert made.recordings.status("yard").deleted.keys() == {"space"}
        await clock.advance(1)
        await made.feed(60, first=200)
        await until(lambda: made.recordings.status("yard").state is RecordState.RECORDING)
        assert made.found()[-2] == NOW


async def test_a_folder_that_cannot_be_used_is_told_and_tried_again_until_it_can(
    folder: Path, clock: FakeClock
) -> None:
    with structlog.testing.capture_logs() as told:
        async with running(folder / "below", clock, cameras=("yard", "gate")) as made:
            await until(lambda: made.recordings.status("gate").failures)
            assert made.recordings.status("yard").state is RecordState.FAILING
            assert "is the disk mounted?" in str(made.recordings.status("yard").last_error)
            await asyncio.to_thread(folder.mkdir)
            await clock.advance(30)
            await made.recording()
            await made.feed(60)
            await until(lambda: made.recordings.status("yard").state is RecordState.RECORDING)
    assert sum(line["event"] == "not recording" and line["camera"] == "yard" for line in told) == 1


async def test_a_folder_in_which_another_process_records_is_not_touched(folder: Path, clock: FakeClock) -> None:
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread(old, folder, Name("yard", NOW - HOUR), finish=False)
    other = Disk(str(folder), min_free=0)
    await asyncio.to_thread(other.free)  # takes the lock
    async with running(folder, clock, keep=20.0) as made:
        await until(lambda: made.recordings.status("yard").failures == {"in_use": 1})
    assert (await asyncio.to_thread(files, folder))[0].endswith(".part")
    other.close()


async def test_a_disk_that_cannot_delete_is_told_and_nothing_else_stops(
    folder: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread(old, folder, Name("yard", NOW - HOUR))

    def unlink(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "unlink", unlink)
    with structlog.testing.capture_logs() as told:
        async with running(folder, clock, keep=20.0) as made:
            await made.recording()
            await clock.advance(25)
            await made.feed(60)
            await until(lambda: made.recordings.status("yard").state is RecordState.RECORDING)
            assert NOW - HOUR in made.found()
    assert sum(line["event"] == "recordings are not tidied up" for line in told) == 1


async def test_files_that_could_not_be_closed_are_closed_later_and_none_holds_up_another(
    folder: Path, clock: FakeClock
) -> None:
    await asyncio.to_thread(folder.mkdir)
    async with running(folder, clock, cameras=("gate",)) as made:
        await made.recording("gate")
        strays = [SegmentFile(Name("yard", NOW + number)) for number in range(3)]
        for file in strays:
            await asyncio.to_thread(made.disk.write, file, HEAD, FRAGMENTS[0], length=1000)
        await asyncio.to_thread((folder / "yard" / strays[0].name.day / strays[0].name.part).unlink)
        made.recordings._strays += strays
        with strays[1].busy:
            await clock.advance(10)
            await until(lambda: made.found() == [NOW + 2])
            assert made.recordings._strays == [strays[1]]
        await clock.advance(10)
        await until(lambda: made.found() == [NOW + 1, NOW + 2])


async def test_without_a_word_about_recordings_nothing_is_touched(folder: Path, clock: FakeClock) -> None:
    """Another configuration's recordings may be in the default folder, and may be kept for longer."""
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread(old, folder, Name("yard", 0))
    recordings = Recordings(Record.model_construct(_fields_set=set(), directory=str(folder)), {}, clock=clock)
    await recordings.run({})
    assert len(await asyncio.to_thread(files, folder)) == 1


async def test_recordings_get_old_also_when_nothing_is_recorded_any_more(folder: Path, clock: FakeClock) -> None:
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread(old, folder, Name("yard", NOW - HOUR), Name("yard", NOW - 10_000))
    async with running(folder, clock, cameras=(), keep=60.0) as made:
        await until(lambda: made.found() == [NOW - 10_000])


async def test_a_folder_is_not_made_for_nothing(folder: Path, clock: FakeClock) -> None:
    async with running(folder, clock, cameras=()):
        pass
    assert not await asyncio.to_thread(folder.exists)


# Playing


async def test_a_recording_is_read_in_pieces(folder: Path, clock: FakeClock) -> None:
    await asyncio.to_thread(folder.mkdir)
    name = Name("yard", NOW - HOUR)
    await asyncio.to_thread(old, folder, name)
    async with running(folder, clock) as made:
        await made.recording()
        playback = await made.recordings.play("yard", name.file)
        assert playback is not None
        async with playback:
            assert playback.size == ONE
            assert await playback.read(8, 4) == HEAD[4:12]
            assert len(await playback.read(10**9, 100)) == ONE - 100
            assert await playback.read(10, ONE) == b""


async def test_of_the_current_recording_what_is_whole_can_be_read(folder: Path, clock: FakeClock) -> None:
    async with running(folder, clock) as made:
        await made.recording()
        await made.feed(60)
        await until(lambda: made.found())
        playback = await made.recordings.play("yard", Name("yard", NOW).file)
        assert playback is not None
        async with playback:
            assert not playback.segment.complete
            size = playback.size
            await made.feed(60, first=60)
            assert len(await playback.read(10**9, 0)) == size


@pytest.mark.parametrize("file", ["", "x", "../../etc/passwd", "yard-20231114T223640.000Z.mp4.part", ".lock"])
async def test_what_is_no_recording_cannot_be_played(folder: Path, clock: FakeClock, file: str) -> None:
    async with running(folder, clock) as made:
        await made.recording()
        assert await made.recordings.play("yard", file) is None


async def test_a_recording_that_somebody_deleted_is_forgotten(folder: Path, clock: FakeClock) -> None:
    await asyncio.to_thread(folder.mkdir)
    name = Name("yard", NOW - HOUR)
    await asyncio.to_thread(old, folder, name)
    async with running(folder, clock) as made:
        await made.recording()
        await asyncio.to_thread((folder / "yard" / name.day / name.file).unlink)
        assert await made.recordings.play("yard", name.file) is None
        assert made.found() == []


async def test_a_disk_that_lets_nothing_be_read_is_an_error(
    folder: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(folder.mkdir)
    name = Name("yard", NOW - HOUR)
    await asyncio.to_thread(old, folder, name)
    async with running(folder, clock) as made:
        await made.recording()
        playback = await made.recordings.play("yard", name.file)
        assert playback is not None
        async with playback:

            def pread(*_: object) -> bytes:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

            monkeypatch.setattr(os, "pread", pread)
            with pytest.raises(RecordError) as caught:
                await playback.read(10, 0)
            assert caught.value.fault is RecordFault.IO
