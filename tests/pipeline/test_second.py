from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog.testing

from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.config.model import Encode
from faceanond.errors import EncodeError
from faceanond.pipeline import second as module
from faceanond.pipeline.second import LINGER, SecondEncoding
from faceanond.publish.packet import Codec, EncodedPacket
from faceanond.publish.stream import Reader, StreamClosedError
from tests.conftest import FakeClock
from tests.publish.sealed import moving
from tests.waiting import until


@asynccontextmanager
async def encoding(clock: FakeClock) -> AsyncIterator[SecondEncoding]:
    one = SecondEncoding("lobby", Encode(), clock=clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(one.run(), name="run")
        await asyncio.sleep(0)
        yield one
        running.cancel()
    one.close()
    assert not one.active
    await until(lambda: not threads())


async def shown(one: SecondEncoding, reader: Reader, index: int) -> EncodedPacket:
    """Offers a picture and waits for its packet."""
    one.offer(moving(index))
    async with asyncio.timeout(10):
        return await reader.get()


async def until_idle(one: SecondEncoding) -> None:
    await until(lambda: not one.active)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("vp8:")]


async def test_without_a_viewer_nothing_is_encoded_and_no_thread_is_there(clock: FakeClock) -> None:
    async with encoding(clock) as one:
        for index in range(50):
            one.offer(moving(index))
            await clock.advance(0.04)
        assert not one.active
        assert threads() == []
        assert not one.dropped


async def test_a_viewer_gets_vp8_from_a_keyframe_on(clock: FakeClock) -> None:
    async with encoding(clock) as one:
        reader = one.stream.subscribe("webrtc")
        packets = [await shown(one, reader, index) for index in range(5)]
        assert [packet.keyframe for packet in packets] == [True, False, False, False, False]
        assert {packet.codec for packet in packets} == {Codec.VP8}
        assert len(threads()) == 1


async def test_the_encoder_outlives_its_last_viewer_for_a_moment_and_no_longer(clock: FakeClock) -> None:
    async with encoding(clock) as one:
        reader = one.stream.subscribe("webrtc")
        await shown(one, reader, 0)
        reader.close()
        await clock.advance(LINGER - 0.1)
        one.offer(moving(1))
        await clock.advance(0)
        assert one.active
        await clock.advance(0.2)
        one.offer(moving(2))
        await until_idle(one)
        assert not one.dropped


async def test_a_viewer_who_comes_back_in_time_finds_the_same_encoder(clock: FakeClock) -> None:
    async with encoding(clock) as one:
        first = one.stream.subscribe("webrtc")
        await shown(one, first, 0)
        first.close()
        await clock.advance(LINGER - 0.1)
        again = one.stream.subscribe("webrtc")
        assert (await shown(one, again, 1)).keyframe
        await clock.advance(LINGER)
        assert not (await shown(one, again, 2)).keyframe
        assert one.active


async def test_after_the_encoder_has_gone_a_new_viewer_gets_a_new_one(clock: FakeClock) -> None:
    async with encoding(clock) as one:
        for _ in range(2):
            reader = one.stream.subscribe("webrtc")
            assert (await shown(one, reader, 0)).keyframe
            reader.close()
            await clock.advance(LINGER)
            one.offer(moving(1))
            await until_idle(one)


async def test_many_wishes_for_a_keyframe_give_one_a_second(clock: FakeClock) -> None:
    async with encoding(clock) as one:
        reader = one.stream.subscribe("webrtc")
        keyframes = []
        for index in range(40):
            for _ in range(10):
                one.stream.request_keyframe()
            if (await shown(one, reader, index)).keyframe:
                keyframes.append(index)
            await clock.advance(0.1)
        assert keyframes == [0, 10, 20, 30]


async def test_what_comes_while_a_picture_is_encoded_is_left_out_but_for_the_newest(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, entered = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    encode = module.Vp8Encoder.encode
    seen: list[float] = []

    def slow(self: module.Vp8Encoder, frame: AnonymisedFrame, *, keyframe: bool = False) -> list[EncodedPacket]:
        loop.call_soon_threadsafe(entered.set)
        release.wait(10)
        seen.append(frame.captured)
        return encode(self, frame, keyframe=keyframe)

    monkeypatch.setattr(module.Vp8Encoder, "encode", slow)
    async with encoding(clock) as one:
        reader = one.stream.subscribe("webrtc")
        one.offer(moving(0))
        await entered.wait()
        for index in range(1, 6):
            one.offer(moving(index))
        release.set()
        async with asyncio.timeout(10):
            packets = [await reader.get(), await reader.get()]
        assert [packet.captured for packet in packets] == seen == [0.0, 0.2]
        assert one.dropped == {("encode", "vp8_late"): 4}


async def test_a_picture_that_cannot_be_encoded_is_counted_and_the_next_one_starts_anew(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = module.Vp8Encoder.encode
    calls = 0

    def fails_first(self: module.Vp8Encoder, frame: AnonymisedFrame, *, keyframe: bool = False) -> list[EncodedPacket]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise EncodeError("camera lobby: cannot encode")
        return encode(self, frame, keyframe=keyframe)

    monkeypatch.setattr(module.Vp8Encoder, "encode", fails_first)
    async with encoding(clock) as one:
        reader = one.stream.subscribe("webrtc")
        one.offer(moving(0))
        await until(lambda: one.dropped)
        await clock.advance(1)
        assert (await shown(one, reader, 1)).keyframe
        assert one.dropped == {("encode", "vp8_failed"): 1}


async def test_a_thread_that_hangs_is_left_behind_and_viewers_go_on(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    encode = module.Vp8Encoder.encode
    hung: list[module.Vp8Encoder] = []

    def hangs_first(self: module.Vp8Encoder, frame: AnonymisedFrame, *, keyframe: bool = False) -> list[EncodedPacket]:
        if not hung:
            hung.append(self)
            release.wait(10)
        return encode(self, frame, keyframe=keyframe)

    monkeypatch.setattr(module.Vp8Encoder, "encode", hangs_first)
    monkeypatch.setattr(module, "STUCK_AFTER", 0.05)
    with structlog.testing.capture_logs() as logs:
        async with encoding(clock) as one:
            reader = one.stream.subscribe("webrtc")
            one.offer(moving(0))
            await until(lambda: one.dropped)
            monkeypatch.setattr(module, "STUCK_AFTER", 10.0)
            await clock.advance(1)
            assert (await shown(one, reader, 1)).keyframe
            release.set()
    assert [entry["reason"] for entry in logs if entry["event"] == "second encoding failed"] == [
        "a picture was not encoded within 0 s"
    ]


async def test_its_end_closes_the_stream_and_the_thread(clock: FakeClock) -> None:
    async with encoding(clock) as one:
        reader = one.stream.subscribe("webrtc")
        await shown(one, reader, 0)
        assert one.active
    with pytest.raises(StreamClosedError):
        await reader.get()
    await until(lambda: not threads())
