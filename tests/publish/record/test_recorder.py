from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import structlog

from faceanond.publish import h264
from faceanond.publish.packet import CLOCK_RATE
from faceanond.publish.record.disk import SegmentFile
from faceanond.publish.record.index import Segment
from faceanond.publish.record.recorder import ROOM
from faceanond.status import RecordState
from tests.conftest import FakeClock
from tests.publish.record.reel import FPS, TICKS, fake, film, probed
from tests.publish.record.studio import Studio, studio
from tests.waiting import until

WALL = 1_700_000_000_000 + 1000 * 1000
"""When the fake clock begins, in milliseconds since 1970."""


async def path(made: Studio, number: int = -1) -> Path:
    name = made.segments()[number].name
    return Path(made.disk.directory) / name.camera / name.day / name.file


async def test_a_film_becomes_files_that_play_one_after_the_other_without_a_gap(
    tmp_path: Path, clock: FakeClock
) -> None:
    packets = await asyncio.to_thread(film, 34.0)
    async with studio(tmp_path, clock) as made:
        await made.feed(packets)
        await made.stop()
        segments = made.segments()
        assert [one.start - WALL for one in segments] == [0, 10_000, 20_000, 30_000]
        assert all(one.complete for one in segments)
        assert all(one.end == following.start for one, following in pairwise(segments))
        assert segments[-1].end - WALL == 34_000
        for number, segment in enumerate(segments):
            seconds = (segment.end - segment.start) / 1000
            file = await path(made, number)
            assert await asyncio.to_thread(probed, file) == (seconds * FPS, pytest.approx(seconds, abs=0.001))
            assert segment.size == (await asyncio.to_thread(file.stat)).st_size


async def test_every_second_is_on_disk_soon(tmp_path: Path, clock: FakeClock) -> None:
    async with studio(tmp_path, clock) as made:
        await made.feed(fake(26))
        (first,) = made.segments()
        assert (first.complete, first.end - first.start) == (False, 1000)
        assert made.recorder.state is RecordState.RECORDING
        await made.feed(fake(26, first=26))
        (second,) = made.segments()
        assert second.end - second.start == 2000
        assert made.recorder.written == second.size > first.size > 25_000


async def test_a_recorder_is_no_viewer(tmp_path: Path, clock: FakeClock) -> None:
    async with studio(tmp_path, clock) as made:
        await made.feed(fake(60))
        assert (made.stream.viewers(), dict(made.stream.output_bytes)) == ({}, {})


async def test_a_picture_of_another_size_or_with_other_parameters_begins_a_new_file(
    tmp_path: Path, clock: FakeClock
) -> None:
    wide = [replace(one, width=128) for one in fake(50, first=50)]
    other = [
        replace(one, width=128, data=one.data.replace(b"\x42\xc0\x1f", b"\x42\xc0\x20")) for one in fake(50, first=100)
    ]
    async with studio(tmp_path, clock) as made:
        await made.feed([*fake(50), *wide, *other])
        await made.stop()
        assert [one.start - WALL for one in made.segments()] == [0, 2000, 4000]


async def test_another_frame_rate_in_the_parameters_begins_no_file_and_the_file_plays(
    tmp_path: Path, clock: FakeClock
) -> None:
    """The encoder is opened anew at a keyframe when the camera has another rate than it said."""
    slow = await asyncio.to_thread(film, 4.0, fps=12.5)
    assert len({h264.parameter_sets(one.data) for one in slow if one.keyframe}) > 1
    async with studio(tmp_path, clock) as made:
        await made.feed(slow)
        await made.stop()
        assert len(made.segments()) == 1
        assert await asyncio.to_thread(probed, await path(made)) == (50, pytest.approx(4.0, abs=0.001))


async def test_a_keyframe_that_a_viewer_asked_for_begins_no_file(tmp_path: Path, clock: FakeClock) -> None:
    async with studio(tmp_path, clock) as made:
        await made.feed(fake(9 * FPS, every=5))
        await made.stop()
        assert len(made.segments()) == 1


async def test_a_slate_before_the_first_picture_makes_no_file_of_its_own(tmp_path: Path, clock: FakeClock) -> None:
    slate = replace(fake(1)[0], width=32)
    async with studio(tmp_path, clock) as made:
        await made.feed([slate, *fake(50, first=1, every=1)])
        await made.stop()
        (segment,) = made.segments()
        assert segment.start - WALL == 40


async def test_the_daemons_end_closes_the_file_with_its_last_picture(tmp_path: Path, clock: FakeClock) -> None:
    packets = await asyncio.to_thread(film, 1.6)
    async with studio(tmp_path, clock) as made:
        await made.feed(packets)
        await made.stop()
        (segment,) = made.segments()
        assert (segment.complete, segment.end - segment.start) == (True, 1600)
        assert await asyncio.to_thread(probed, await path(made)) == (40, pytest.approx(1.6, abs=0.001))


async def test_the_streams_end_closes_the_file_and_ends_the_recorder(tmp_path: Path, clock: FakeClock) -> None:
    async with studio(tmp_path, clock) as made:
        await made.feed(fake(40))
        made.stream.close()
        assert made.task is not None
        await asyncio.wait([made.task])
        assert made.task.exception() is None
        (segment,) = made.segments()
        assert (segment.complete, segment.end - segment.start) == (True, 1600)


async def test_a_disk_that_fails_is_told_once_and_recording_goes_on_by_itself(tmp_path: Path, clock: FakeClock) -> None:
    async with studio(tmp_path, clock) as made:
        await made.feed(fake(60))
        before = made.tidied
        made.disk.fail(errno.ENOSPC)
        with structlog.testing.capture_logs() as told:
            await made.feed(fake(60, first=75))
            await until(lambda: made.recorder.state is RecordState.FAILING)
            for _ in range(5):
                await clock.advance(30)
                await made.feed(fake(60, first=150))
                await until(lambda: not made.readers())
        assert made.recorder.failures["full"] > 3
        assert "No space left" in str(made.recorder.last_error)
        assert made.tidied > before
        lines = [(line["reason"], line["camera"]) for line in told if line["event"] == "not recording"]
        assert lines == [("full", "yard")]
        assert made.strays[0].fragments == 2

        made.disk.recover()
        with structlog.testing.capture_logs() as told:
            await clock.advance(30)
            await made.feed(fake(60, first=1000))
        assert made.recorder.state is RecordState.RECORDING
        assert made.recorder.last_error is None
        assert [line["event"] for line in told] == ["recording again"]
        assert made.segments()[-1].start - WALL == 40_000


async def test_a_disk_that_hangs_holds_up_nobody_and_is_used_again_when_it_answers(
    tmp_path: Path, clock: FakeClock
) -> None:
    async with studio(tmp_path, clock, patience=0.5) as made:
        viewer = made.stream.subscribe("test")
        await made.feed(fake(60))
        made.disk.answers.clear()
        for packet in fake(60, first=75):
            made.stream.write(packet)
            assert (await viewer.get()) is not None
        await until(lambda: made.recorder.failures["stalled"])
        assert made.recorder.state is RecordState.FAILING
        assert made.segments() == []
        made.disk.answers.set()
        await clock.advance(30)
        await made.feed(fake(60, first=1000))
        await until(lambda: made.recorder.state is RecordState.RECORDING)
        viewer.close()


async def test_a_slow_disk_costs_pictures_that_are_counted_and_the_file_goes_on(
    tmp_path: Path, clock: FakeClock
) -> None:
    async with studio(tmp_path, clock) as made:
        await made.feed(fake(26))
        made.disk.answers.clear()
        for packet in fake(26 + ROOM.packets + 100, first=26):
            made.stream.write(packet)
            await asyncio.sleep(0)
        made.disk.answers.set()
        await made.taken()
        await made.feed(fake(250, first=700))
        await made.stop()
        assert made.recorder.lost > 50
        assert made.recorder.failures == {}
        assert sum(one.lost for one in made.segments()) == made.recorder.lost
        assert made.stream.dropped == 0, "no viewer lost anything"


async def test_what_is_on_its_way_to_the_disk_is_neither_lost_nor_written_twice_at_the_end(
    tmp_path: Path, clock: FakeClock
) -> None:
    packets = await asyncio.to_thread(film, 2.5)
    async with studio(tmp_path, clock) as made:
        await made.feed(packets[:26])
        made.disk.answers.clear()
        for packet in packets[26:51]:
            made.stream.write(packet)
        await until(lambda: not any(reader._ring for reader in made.readers()))
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(made.stop())
            await asyncio.sleep(0.05)
            assert not stopping.done()
            made.disk.answers.set()
        assert await asyncio.to_thread(probed, await path(made)) == (51, pytest.approx(51 / FPS, abs=0.001))


async def test_a_disk_that_hangs_at_the_end_does_not_hold_it_up(tmp_path: Path, clock: FakeClock) -> None:
    async with studio(tmp_path, clock) as made:
        await made.feed(fake(40))
        made.disk.answers.clear()
        async with asyncio.timeout(5):
            await made.stop()
        assert [file.fragments for file in made.strays] == [1]


async def test_a_defect_in_closing_a_file_does_not_keep_the_recorder_from_ending(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(file: SegmentFile) -> Segment | None:
        raise ZeroDivisionError("a defect of ours")

    async with studio(tmp_path, clock) as made:
        await made.feed(fake(60))
        monkeypatch.setattr(made.disk, "finish", breaks)
        assert made.task is not None
        made.task.cancel()
        ended, _ = await asyncio.wait([made.task], timeout=3.0)
        assert ended
        assert made.task.cancelled()


async def test_the_times_of_the_encoder_and_the_files_agree(tmp_path: Path, clock: FakeClock) -> None:
    """A camera of 12.5 pictures a second whose keyframes come when they like."""
    packets = [
        replace(one, timestamp=round(1000 * CLOCK_RATE) + number * 2 * TICKS)
        for number, one in enumerate(fake(400, every=7))
    ]
    async with studio(tmp_path, clock) as made:
        await made.feed(packets)
        await made.stop()
        segments = made.segments()
        assert all(10_000 <= one.end - one.start < 10_000 + 7 * 80 for one in segments[:-1])
        assert all(0 <= following.start - one.end <= 1 for one, following in pairwise(segments))
        assert segments[-1].end - segments[0].start == pytest.approx(32_000, abs=2)
