from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import pytest

from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.capture.source import StreamInfo
from faceanond.config.model import Anonymise, Camera, DetectOptions, Encode
from faceanond.config.types import Source
from faceanond.errors import DetectionError, SourceFault
from faceanond.frames import Box, Detections, Face, RawFrame, Verdict
from faceanond.pipeline import camera as module
from faceanond.pipeline.camera import CameraPipeline
from faceanond.publish.packet import Codec, EncodedPacket
from faceanond.publish.stream import Reader
from faceanond.status import CameraState
from tests.conftest import FakeClock
from tests.pictures import raw_frame

Answer = Callable[[RawFrame], Awaitable[Detections]]
FACE = Face(Box(100, 80, 160, 150), 0.99)
INFO = StreamInfo("h264", 320, 240, 25.0, live=True)


async def one_face(frame: RawFrame) -> Detections:
    return Detections(frame.id, (FACE,))


async def nothing(frame: RawFrame) -> Detections:
    return Detections(frame.id, ())


class FakeDetector:
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[RawFrame] = []

    async def detect(self, frame: RawFrame, options: DetectOptions, expected: object = None) -> Detections:
        self.asked.append(frame)
        return await self.answer(frame)

    def forget(self, camera: str) -> None:
        return


def camera(**settings: object) -> Camera:
    return Camera.model_validate({"source": Source("demo", ""), "track": {"enabled": False}, **settings})


class Run:
    """A pipeline that runs, with what it published."""

    def __init__(self, pipeline: CameraPipeline, clock: FakeClock) -> None:
        self.pipeline = pipeline
        self.clock = clock
        self.packets: list[EncodedPacket] = []
        self._arrived = asyncio.Event()

    def note(self, packet: EncodedPacket) -> None:
        self.packets.append(packet)
        self._arrived.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.packets) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def publish(self, frame: RawFrame) -> AnonymisedFrame:
        """Feeds a frame and waits for what is published of it."""
        count = len(self.packets) + 1
        self.pipeline.feed(frame)
        await self.until(count)
        assert self.pipeline.last_sealed is not None
        return self.pipeline.last_sealed

    @property
    def verdicts(self) -> list[Verdict]:
        return [packet.verdict for packet in self.packets]


@asynccontextmanager
async def running(answer: Answer, clock: FakeClock, **settings: object) -> AsyncIterator[Run]:
    pipeline = CameraPipeline("lobby", camera(**settings), detector=FakeDetector(answer), clock=clock)
    run = Run(pipeline, clock)
    reader = pipeline.stream.subscribe("test")

    async def read() -> None:
        while True:
            run.note(await reader.get())

    try:
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(pipeline.run(), name="run"), tasks.create_task(read(), name="read")]
            await asyncio.sleep(0)
            yield run
            for task in work:
                task.cancel()
    finally:
        await pipeline.close()


async def test_a_frame_with_a_face_is_published_masked(clock: FakeClock) -> None:
    async with running(one_face, clock) as run:
        sealed = await run.publish(raw_frame())
        assert sealed.verdict is Verdict.MASKED
        assert sealed.source == raw_frame().id
        assert sealed.regions[0].box.x1 <= FACE.box.x1
        status = run.pipeline.status()
    assert status.published == {Verdict.MASKED: 1}
    assert (status.faces_detected, status.faces_current) == (1, 1)


async def test_a_frame_without_a_face_is_clean(clock: FakeClock) -> None:
    async with running(nothing, clock) as run:
        assert (await run.publish(raw_frame())).verdict is Verdict.CLEAN


@pytest.mark.parametrize("reason", ["timeout", "detector_failed", "nan"])
async def test_without_a_verdict_the_whole_picture_is_concealed(clock: FakeClock, reason: str) -> None:
    async def fails(frame: RawFrame) -> Detections:
        raise DetectionError(reason, "no answer")

    async with running(fails, clock) as run:
        sealed = await run.publish(raw_frame())
        assert (sealed.verdict, sealed.reason) == (Verdict.FULL, reason)
        assert run.pipeline.status().fail_closed == reason


async def test_boxes_of_another_frame_conceal_the_picture(clock: FakeClock) -> None:
    async def wrong(frame: RawFrame) -> Detections:
        return Detections(raw_frame(index=99).id, ())

    async with running(wrong, clock) as run:
        sealed = await run.publish(raw_frame())
        assert (sealed.verdict, sealed.reason) == (Verdict.FULL, "wrong_frame")


async def test_a_suspect_picture_is_concealed_without_asking_the_detector(clock: FakeClock) -> None:
    async def must_not_be_asked(frame: RawFrame) -> Detections:
        raise AssertionError

    async with running(must_not_be_asked, clock) as run:
        sealed = await run.publish(raw_frame(suspect="gap"))
        assert (sealed.verdict, sealed.reason) == (Verdict.FULL, "gap")


async def test_a_camera_starts_with_a_slate_and_not_with_nothing(clock: FakeClock) -> None:
    async with running(nothing, clock) as run:
        await clock.advance(module.ABSENT_AFTER + module.ABSENT_INTERVAL)
        await run.until(1)
        assert run.verdicts == [Verdict.HELD]
        assert run.pipeline.status().fail_closed == "no_signal"


async def test_the_last_picture_is_held_when_the_camera_goes_and_a_slate_follows(clock: FakeClock) -> None:
    async with running(nothing, clock) as run:
        run.pipeline.opened(INFO)
        last = await run.publish(raw_frame(captured=clock.monotonic()))
        run.pipeline.lost(SourceFault.UNREACHABLE, "gone", 3.0)
        await clock.advance(module.ABSENT_AFTER + module.ABSENT_INTERVAL)
        await run.until(2)
        assert run.pipeline.last_sealed is not None
        assert run.pipeline.last_sealed.source == last.source
        assert run.pipeline.last_sealed.verdict is Verdict.HELD
        for _ in range(10):
            count = len(run.packets)
            await clock.advance(module.ABSENT_INTERVAL)
            await run.until(count + 1)
        assert run.pipeline.last_sealed.source is None
        assert run.pipeline.last_sealed.verdict is Verdict.HELD
        status = run.pipeline.status()
        assert status.state is CameraState.RETRYING
        assert status.fail_closed_seconds["no_signal"] > 0


async def test_a_camera_that_comes_back_is_shown_again(clock: FakeClock) -> None:
    async with running(nothing, clock) as run:
        run.pipeline.lost(SourceFault.STALLED, "gone", 0.5)
        await clock.advance(module.ABSENT_AFTER + module.ABSENT_INTERVAL)
        await run.until(1)
        run.pipeline.opened(INFO)
        sealed = await run.publish(raw_frame(generation=2, captured=clock.monotonic()))
        while sealed.source is None:  # a slate that was being sealed when the camera came back
            await run.until(len(run.packets) + 1)
            assert run.pipeline.last_sealed is not None
            sealed = run.pipeline.last_sealed
        assert sealed.verdict is Verdict.CLEAN
        assert run.pipeline.status().fail_closed is None


async def test_a_hanging_detector_leaves_held_and_concealed_pictures_and_never_the_raw_one(clock: FakeClock) -> None:
    never = asyncio.Event()

    async def hangs(frame: RawFrame) -> Detections:
        await never.wait()
        raise AssertionError

    async with running(hangs, clock) as run:
        run.pipeline.opened(INFO)
        for index in range(10):
            run.pipeline.feed(raw_frame(index=index))
        await clock.advance(module.ABSENT_AFTER - module.ABSENT_INTERVAL)
        await run.until(1)
        assert set(run.verdicts) == {Verdict.HELD}
        assert run.pipeline.status().fail_closed == "late"
        await clock.advance(2 * module.ABSENT_INTERVAL)
        while Verdict.FULL not in run.verdicts:
            await run.until(len(run.packets) + 1)
        assert set(run.verdicts) == {Verdict.HELD, Verdict.FULL}
        status = run.pipeline.status()
        assert status.fail_closed == "overload"
        assert status.captured == 10
        assert status.dropped["mailbox", "newer"] >= 8


async def test_max_fps_thins_the_frames_before_they_cost_anything(clock: FakeClock) -> None:
    detector_calls: list[int] = []

    async def count(frame: RawFrame) -> Detections:
        detector_calls.append(frame.id.index)
        return Detections(frame.id, ())

    async with running(count, clock, encode=Encode(max_fps=10)) as run:
        for index in range(30):
            run.pipeline.feed(raw_frame(index=index, captured=1000 + index / 30))
        assert run.pipeline.status().dropped["capture", "max_fps"] == 20


async def test_a_size_change_goes_on_with_a_keyframe_of_the_new_size(clock: FakeClock) -> None:
    async with running(one_face, clock) as run:
        await run.publish(raw_frame())
        await run.publish(raw_frame(index=1, size=(640, 360)))
        assert [(packet.width, packet.keyframe) for packet in run.packets] == [(320, True), (640, True)]


async def test_the_pipeline_can_be_run_again_after_it_was_cancelled(clock: FakeClock) -> None:
    pipeline = CameraPipeline("lobby", camera(), detector=FakeDetector(nothing), clock=clock)
    try:
        for index in range(2):
            reader = pipeline.stream.subscribe("test")
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(pipeline.run(), name="run")
                await asyncio.sleep(0)
                pipeline.feed(raw_frame(index=index, captured=1000 + index))
                packet = await asyncio.wait_for(reader.get(), 10)
                task.cancel()
            assert packet.keyframe
            reader.close()
    finally:
        await pipeline.close()


async def test_the_method_of_the_settings_is_the_one_that_is_used(clock: FakeClock) -> None:
    async with running(one_face, clock, anonymise=Anonymise(method="solid", shape="box", legend=())) as run:
        sealed = await run.publish(raw_frame())
        assert len({*sealed.i420[100:130, 110:150].ravel().tolist()}) == 1


async def test_a_picture_that_no_network_would_look_at_is_concealed_and_not_called_clean(clock: FakeClock) -> None:
    async def must_not_be_asked(frame: RawFrame) -> Detections:
        raise AssertionError

    async with running(must_not_be_asked, clock, detector=DetectOptions(min_size=240)) as run:
        sealed = await run.publish(raw_frame(size=(320, 240)))
        assert (sealed.verdict, sealed.reason) == (Verdict.FULL, "too_small")
        run.pipeline.opened(INFO)


async def test_no_snapshot_outlives_the_pipeline_that_renews_it(clock: FakeClock) -> None:
    async with running(nothing, clock) as run:
        await run.publish(raw_frame())
        assert run.pipeline.last_sealed is not None
    assert run.pipeline.last_sealed is None


async def packets_of(reader: Reader, count: int) -> list[EncodedPacket]:
    async with asyncio.timeout(10):
        return [await reader.get() for _ in range(count)]


async def test_a_viewer_of_vp8_sees_the_pictures_the_held_one_and_the_slate(clock: FakeClock) -> None:
    async with running(nothing, clock) as run:
        stream = run.pipeline.stream_in(Codec.VP8)
        assert stream is not None
        with closing(stream.subscribe("test")) as reader:
            run.pipeline.opened(INFO)
            await run.publish(raw_frame(captured=clock.monotonic()))
            (first,) = await packets_of(reader, 1)
            assert (first.codec, first.keyframe, first.verdict) == (Codec.VP8, True, Verdict.CLEAN)
            assert run.pipeline.status().vp8
            assert run.pipeline.status().viewers == {"test": 2}
            run.pipeline.lost(SourceFault.UNREACHABLE, "gone", 3.0)
            await clock.advance(module.ABSENT_AFTER + module.ABSENT_INTERVAL)
            (held,) = await packets_of(reader, 1)
            assert held.verdict is Verdict.HELD
            status = run.pipeline.status()
            assert status.output_bytes["test"] == len(first.data) + len(held.data) + sum(
                len(packet.data) for packet in run.packets
            )


async def test_a_size_change_goes_on_in_vp8_with_a_keyframe(clock: FakeClock) -> None:
    async with running(one_face, clock) as run:
        stream = run.pipeline.stream_in(Codec.VP8)
        assert stream is not None
        with closing(stream.subscribe("test")) as reader:
            await run.publish(raw_frame())
            (first,) = await packets_of(reader, 1)
            await run.publish(raw_frame(index=1, size=(640, 360)))
            (second,) = await packets_of(reader, 1)
    assert [(packet.width, packet.keyframe) for packet in (first, second)] == [(320, True), (640, True)]


async def test_without_a_viewer_of_vp8_nothing_is_encoded_in_it(clock: FakeClock) -> None:
    async with running(nothing, clock) as run:
        for index in range(3):
            await run.publish(raw_frame(index=index, captured=clock.monotonic() + index / 25))
        assert not run.pipeline.status().vp8
        assert run.pipeline.vp8 is not None
        assert dict(run.pipeline.vp8.stream.output_bytes) == {}


async def test_vp8_can_be_switched_off(clock: FakeClock) -> None:
    async with running(nothing, clock, encode=Encode(vp8=False)) as run:
        assert run.pipeline.stream_in(Codec.VP8) is None
        assert run.pipeline.stream_in(Codec.H264) is run.pipeline.stream
        await run.publish(raw_frame())
        assert not run.pipeline.status().vp8
