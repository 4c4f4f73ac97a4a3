from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from faceanond.publish import fmp4, h264
from faceanond.publish.mp4_feed import AT_ONCE, EXACT, HOLD, PROTOCOL, Mp4Feed, SizeChangedError, Timing
from faceanond.publish.packet import EncodedPacket
from faceanond.publish.stream import Stream, StreamClosedError
from tests.conftest import FakeClock
from tests.publish.sealed import packet
from tests.publish.test_fmp4 import Sample, samples

STEP = 3600
SETS = h264.parameter_sets(packet(0, keyframe=True).data)
assert SETS is not None


def at(index: int, ticks: int, *, keyframe: bool = False, width: int = 64) -> EncodedPacket:
    return replace(packet(index, keyframe=keyframe), timestamp=ticks, width=width)


def only(fragment: bytes) -> Sample:
    (sample,) = samples(fragment)[1]
    return sample


@pytest.fixture
def stream(clock: FakeClock) -> Stream:
    return Stream("yard", clock=clock)


async def test_a_viewer_gets_the_first_segment_and_then_pictures_from_time_zero(stream: Stream) -> None:
    async with Mp4Feed(stream, AT_ONCE) as feed:
        for index in range(100, 103):
            stream.write(packet(index, keyframe=index == 100))
        media_type, head = await feed.start()
        assert media_type == 'video/mp4; codecs="avc1.42C01F"'
        assert head == fmp4.init_segment(SETS, 64, 48)
        fragments = [await feed.get() for _ in range(3)]
        assert [samples(fragment)[0] for fragment in fragments] == [1, 2, 3]
        assert [only(fragment).time for fragment in fragments] == [0, STEP, 2 * STEP]
        assert [only(fragment).sync for fragment in fragments] == [True, False, False]


async def test_at_once_a_picture_does_not_wait_for_the_next_one(stream: Stream) -> None:
    async with Mp4Feed(stream, AT_ONCE) as feed:
        stream.write(packet(0, keyframe=True))
        await feed.start()
        assert only(await feed.get()).ticks == HOLD


async def test_exact_pictures_last_until_the_next_one(stream: Stream) -> None:
    async with Mp4Feed(stream, EXACT) as feed:
        for index, ticks in enumerate((50, 4000, 4001)):
            stream.write(at(index, ticks, keyframe=index == 0))
        await feed.start()
        found = [only(await feed.get()) for _ in range(2)]
        assert [(sample.time, sample.ticks) for sample in found] == [(0, 3950), (3950, 1)]


@pytest.mark.parametrize("timing", [EXACT, AT_ONCE], ids=["exact", "at once"])
async def test_a_pause_is_shortened_and_leaves_no_gap(stream: Stream, timing: Timing) -> None:
    """A player whose clock stood must not stay behind by the pause; nor may its buffer have a hole."""
    longest = timing.longest
    async with Mp4Feed(stream, timing) as feed:
        for index, ticks in enumerate((0, STEP, STEP + 90_000 * 3600, STEP * 2 + 90_000 * 3600, 90_000 * 7200)):
            stream.write(at(index, ticks, keyframe=index == 0))
        await feed.start()
        found = [only(await feed.get()) for _ in range(4)]
        assert [sample.time for sample in found] == [0, STEP, STEP + longest, 2 * STEP + longest]
        assert all(one.time + one.ticks >= after.time for one, after in itertools.pairwise(found))


async def test_new_parameter_sets_of_the_same_size_go_on(stream: Stream) -> None:
    other = h264.join([b"\x67\x42\xc0\x28\xda", b"\x68\xce\x3c\x80", b"\x65\x88\x80"])
    async with Mp4Feed(stream, AT_ONCE) as feed:
        stream.write(packet(0, keyframe=True))
        stream.write(replace(packet(1, keyframe=True), data=other))
        await feed.start()
        await feed.get()
        assert b"\x67\x42\xc0\x28\xda" in only(await feed.get()).nals


async def test_another_size_ends_an_exact_stream(stream: Stream) -> None:
    async with Mp4Feed(stream, EXACT) as feed:
        stream.write(packet(0, keyframe=True))
        stream.write(at(1, STEP, keyframe=True, width=128))
        await feed.start()
        with pytest.raises(SizeChangedError, match="128x48"):
            await feed.get()


async def test_another_size_needs_a_new_first_segment_and_times_go_on(stream: Stream) -> None:
    async with Mp4Feed(stream, AT_ONCE) as feed:
        stream.write(packet(0, keyframe=True))
        stream.write(at(1, STEP, keyframe=True, width=128))
        await feed.start()
        await feed.get()
        for _ in range(2):
            with pytest.raises(SizeChangedError):
                await feed.get()
        _, head = await feed.start()
        assert head == fmp4.init_segment(SETS, 128, 48)
        assert only(await feed.get()).time == STEP


async def test_waiting_can_be_given_up_without_losing_a_picture(stream: Stream) -> None:
    async with Mp4Feed(stream, EXACT) as feed:
        stream.write(packet(0, keyframe=True))
        await feed.start()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await feed.get()
        stream.write(packet(1))
        assert only(await feed.get()).time == 0


async def test_leaving_unsubscribes(stream: Stream) -> None:
    async with Mp4Feed(stream, EXACT):
        assert stream.viewers() == {PROTOCOL: 1}
    assert stream.viewers() == {PROTOCOL: 0}


async def test_the_end_of_the_stream_is_told(stream: Stream) -> None:
    async with Mp4Feed(stream, EXACT) as feed:
        stream.close()
        with pytest.raises(StreamClosedError):
            await feed.start()
    with pytest.raises(StreamClosedError):
        Mp4Feed(stream, EXACT)
