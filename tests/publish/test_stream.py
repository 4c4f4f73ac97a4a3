from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish import stream as module
from faceanond.publish.packet import EncodedPacket
from faceanond.publish.stream import Reader, Role, Room, Stream, StreamClosedError
from tests.conftest import FakeClock, settle
from tests.publish.sealed import packet

OLD = 900.0
"""A moment long before the fake clock's start: such keyframes are not replayed to newcomers."""


@pytest.fixture
def stream(clock: FakeClock) -> Stream:
    return Stream("yard", clock=clock)


def feed(stream: Stream, kinds: str, *, first: int = 0, size: int = 100, encoded: float = OLD) -> list[EncodedPacket]:
    """Writes one packet a letter: K a keyframe, p another one."""
    packets = [
        packet(first + number, keyframe=kind == "K", size=size, encoded=encoded) for number, kind in enumerate(kinds)
    ]
    for one in packets:
        stream.write(one)
    return packets


async def drain(reader: Reader) -> list[int]:
    """The numbers of the packets that wait."""
    numbers = []
    while reader._ring:
        numbers.append((await reader.get()).timestamp // 3600)
    return numbers


async def test_every_reader_gets_every_packet_in_order(stream: Stream) -> None:
    readers = [stream.subscribe("rtsp"), stream.subscribe("webrtc")]
    feed(stream, "KppKp")
    assert [await drain(reader) for reader in readers] == [[0, 1, 2, 3, 4]] * 2


async def test_a_reader_starts_at_a_keyframe_and_what_came_before_is_no_loss(stream: Stream) -> None:
    feed(stream, "Kp")
    reader = stream.subscribe("rtsp")
    feed(stream, "ppKp", first=2)
    assert await drain(reader) == [4, 5]
    assert reader.dropped == stream.dropped == 0


async def test_a_slow_reader_loses_the_rest_of_a_gop_and_goes_on_at_the_next_keyframe(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RING_PACKETS", 3)
    slow, quick = stream.subscribe("rtsp"), stream.subscribe("rtsp")
    seen = []
    for number, kind in enumerate("KpppppKp"):
        feed(stream, kind, first=number)
        seen += await drain(quick)
    assert seen == list(range(8))
    assert await drain(slow) == [6, 7]
    assert (slow.dropped, quick.dropped, stream.dropped) == (6, 0, 6)


async def test_a_reader_that_catches_up_within_the_gop_still_waits_for_the_keyframe(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RING_PACKETS", 3)
    reader = stream.subscribe("rtsp")
    feed(stream, "Kppp")
    assert await drain(reader) == [0, 1, 2]
    feed(stream, "ppK", first=4)
    assert await drain(reader) == [6]
    assert reader.dropped == 3


async def test_the_ring_is_bounded_in_bytes_too(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RING_BYTES", 1000)
    reader = stream.subscribe("rtsp")
    feed(stream, "Kpppp", size=300)
    assert await drain(reader) == [0, 1, 2]


async def test_a_keyframe_larger_than_the_ring_is_still_delivered(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RING_BYTES", 1000)
    reader = stream.subscribe("rtsp")
    feed(stream, "KpK", size=5000)
    assert await drain(reader) == [2]


@given(st.text("Kppppp", max_size=60), st.lists(st.integers(0, 5), max_size=60))
async def test_what_a_reader_gets_can_always_be_decoded(kinds: str, appetite: list[int]) -> None:
    stream = Stream("yard", clock=FakeClock())
    reader = stream.subscribe("rtsp")
    got: list[EncodedPacket] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RING_PACKETS", 4)
        for number, kind in enumerate(kinds):
            feed(stream, kind, first=number)
            for _ in range(min(len(reader._ring), appetite[number % len(appetite)] if appetite else 0)):
                got.append(await reader.get())
            assert len(reader._ring) <= 4
    numbers = [one.timestamp // 3600 for one in got]
    for before, number, one in zip([-2, *numbers], numbers, got, strict=False):
        assert one.keyframe or number == before + 1


async def test_get_waits_for_the_next_packet(stream: Stream) -> None:
    reader = stream.subscribe("rtsp")
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(reader.get(), name="reader")
        await settle()
        assert not waiting.done()
        feed(stream, "K")
    assert waiting.result().keyframe


async def test_closing_the_stream_ends_waiting_readers(stream: Stream) -> None:
    async def read(reader: Reader) -> None:
        with pytest.raises(StreamClosedError):
            await reader.get()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(read(stream.subscribe("rtsp")), name="reader")
        await settle()
        stream.close()
    assert stream.viewers() == {"rtsp": 0}
    with pytest.raises(StreamClosedError):
        stream.subscribe("rtsp")
    stream.write(packet(0, keyframe=True))
    stream.close()


async def test_a_reader_that_leaves_is_counted_no_more_and_gets_nothing(stream: Stream) -> None:
    async with stream.subscribe("rtsp") as reader:
        stream.subscribe("webrtc")
        assert stream.viewers() == {"rtsp": 1, "webrtc": 1}
    reader.close()
    feed(stream, "K")
    assert stream.viewers() == {"rtsp": 0, "webrtc": 1}
    with pytest.raises(StreamClosedError):
        await reader.get()


async def test_bytes_are_counted_by_protocol_when_delivered(stream: Stream) -> None:
    reader = stream.subscribe("rtsp")
    stream.subscribe("webrtc")
    packets = feed(stream, "Kp")
    await reader.get()
    assert stream.output_bytes == {"rtsp": len(packets[0].data)}


async def test_joining_asks_for_one_keyframe(stream: Stream) -> None:
    assert not stream.take_keyframe_request()
    stream.subscribe("rtsp")
    stream.subscribe("rtsp")
    assert [stream.take_keyframe_request() for _ in range(3)] == [True, False, False]


async def test_requests_are_granted_once_a_second_and_early_ones_are_kept(stream: Stream, clock: FakeClock) -> None:
    granted = []
    for tick in range(24):
        if tick in (0, 1, 2, 23):
            stream.request_keyframe()
        if stream.take_keyframe_request():
            granted.append(tick)
        await clock.advance(0.125)
    assert granted == [0, 8, 23]


async def test_a_keyframe_that_comes_anyway_answers_the_request(stream: Stream) -> None:
    reader = stream.subscribe("rtsp")
    feed(stream, "K")
    assert not stream.take_keyframe_request()
    assert await drain(reader) == [0]


async def test_who_joins_just_after_a_keyframe_starts_with_it_at_once(stream: Stream, clock: FakeClock) -> None:
    feed(stream, "ppKpp", encoded=clock.monotonic())
    await clock.advance(0.3)
    reader = stream.subscribe("rtsp")
    assert not stream.take_keyframe_request()
    feed(stream, "p", first=5)
    assert await drain(reader) == [2, 3, 4, 5]


async def test_who_joins_later_waits_for_a_keyframe_of_its_own(stream: Stream, clock: FakeClock) -> None:
    feed(stream, "Kpp", encoded=clock.monotonic())
    await clock.advance(0.6)
    reader = stream.subscribe("rtsp")
    assert stream.take_keyframe_request()
    feed(stream, "pK", first=3)
    assert await drain(reader) == [4]
    assert reader.dropped == 0


async def test_parameter_sets_are_known_from_the_first_keyframe_on(stream: Stream) -> None:
    assert stream.parameter_sets is None
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(stream.described(), name="described")
        await settle()
        assert not waiting.done()
        feed(stream, "pK")
    assert waiting.result() == stream.parameter_sets
    assert waiting.result().sps == b"\x67\x42\xc0\x1f\xda"


async def test_nobody_waits_for_the_parameter_sets_of_a_closed_stream(stream: Stream) -> None:
    stream.close()
    with pytest.raises(StreamClosedError):
        await stream.described()


async def test_a_recording_is_left_out_of_every_figure(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RING_PACKETS", 3)
    reader = stream.subscribe("record", role=Role.RECORDING)
    feed(stream, "KppppK")
    assert await drain(reader) == [5]
    assert reader.dropped == 5
    assert (stream.viewers(), dict(stream.output_bytes), stream.dropped) == ({}, {}, 0)
    reader.close()
    assert stream.viewers() == {}


async def test_what_a_media_server_gets_and_loses_counts_but_it_is_no_viewer(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RING_PACKETS", 3)
    async with stream.subscribe("push_rtsp", role=Role.MEDIA_SERVER) as reader:
        feed(stream, "KppppK")
        assert await drain(reader) == [5]
        assert (stream.viewers(), list(stream.output_bytes), stream.dropped) == ({}, ["push_rtsp"], 5)
    assert stream.viewers() == {}


async def test_a_reader_may_have_a_ring_of_its_own_size(stream: Stream) -> None:
    wide, narrow = (stream.subscribe("record", room=Room(packets, 10**6)) for packets in (200, 2))
    feed(stream, "K" + "p" * 150)
    assert (len(await drain(wide)), len(await drain(narrow))) == (151, 2)
    assert (wide.dropped, narrow.dropped) == (0, 149)
    heavy = stream.subscribe("record", room=Room(200, 1000))
    feed(stream, "Kppp", first=200, size=400)
    assert await drain(heavy) == [200, 201]


async def test_why_a_stream_has_ended_is_told_to_whoever_reads_on(clock: FakeClock) -> None:
    stream = Stream("yard", clock=clock)
    reader = stream.subscribe("rtsp")
    assert stream.ended == ""
    stream.close("server stopping")
    stream.close("again")
    with pytest.raises(StreamClosedError, match=r"^server stopping$"):
        await reader.get()
    with pytest.raises(StreamClosedError, match=r"^server stopping$"):
        stream.subscribe("rtsp")
    with pytest.raises(StreamClosedError, match=r"^server stopping$"):
        await stream.described()
