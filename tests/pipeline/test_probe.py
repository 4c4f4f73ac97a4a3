"""The leak probe beside a camera's pipeline: what it counts and tells, and that it changes nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from structlog.testing import capture_logs

from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.clock import SystemClock
from faceanond.config.model import Anonymise, Camera, DetectOptions, Encode, Probe, Track
from faceanond.config.types import Source
from faceanond.errors import DetectionError
from faceanond.frames import Box, Detections, Face, FrameId, RawFrame
from faceanond.pipeline import probe as module
from faceanond.pipeline.camera import CameraPipeline
from faceanond.pipeline.probe import PREFIX, LeakProbe, ProbeResult, keener, spread
from faceanond.publish.decode import DecodedPicture, decoded
from faceanond.publish.encoder import Encoder
from faceanond.publish.packet import EncodedPacket
from tests.anonymise.pictures import anonymiser
from tests.conftest import FakeClock, settle
from tests.pictures import raw_frame

FACE = Face(Box(100, 80, 160, 150), 0.99)
SEEN = Face(Box(220, 80, 270, 140), 0.62)
EVERY = 10.0
Answer = Callable[[RawFrame], Awaitable[Detections]]


def camera(interval: float = EVERY, **settings: object) -> Camera:
    chosen = {"source": Source("demo", ""), "probe": Probe(interval=interval), "anonymise": Anonymise(legend=())}
    chosen["track"] = Track(enabled=False)
    return Camera.model_validate({**chosen, **settings})


class Eyes:
    """Finds these faces in what a probe asks about."""

    def __init__(self, *faces: Face, answer: Answer | None = None) -> None:
        self._faces = faces
        self._answer = answer
        self.asked: list[tuple[RawFrame, DetectOptions]] = []
        self.forgotten: list[str] = []

    async def detect(self, frame: RawFrame, options: DetectOptions, expected: object = None) -> Detections:
        self.asked.append((frame, options))
        return await self._answer(frame) if self._answer else Detections(frame.id, self._faces)

    def forget(self, camera: str) -> None:
        self.forgotten.append(camera)


class Published(NamedTuple):
    frame: AnonymisedFrame
    packets: list[EncodedPacket]


def published(*hidden: Face, index: int = 0, concealed: bool = False) -> Published:
    """A keyframe in which these faces are masked."""
    raw = raw_frame(index)
    maker = anonymiser()
    frame = maker.conceal(raw, "gap") if concealed else maker.seal(raw, Detections(raw.id, hidden))
    return Published(frame, Encoder("lobby", Encode(), clock=SystemClock()).encode(frame))


@asynccontextmanager
async def watching(
    eyes: Eyes,
    clock: FakeClock,
    *,
    decode: module.Decode = decoded,
    asked: Callable[[], None] = lambda: None,
    **settings: object,
) -> AsyncIterator[LeakProbe]:
    chosen = camera(**settings)  # type: ignore[arg-type]
    probe = LeakProbe(
        "lobby", chosen, detector=eyes, clock=clock, ask_keyframe=asked, decode=decode, phase=lambda name: 0.0
    )
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(probe.run(), name="probe")
        await settle()
        yield probe
        task.cancel()


async def outcome(probe: LeakProbe, clock: FakeClock, shown: Published) -> dict[str, int]:
    """What the next probe of this picture adds to the counts."""
    before = probe.results.copy()
    await clock.advance(EVERY)
    probe.offer(*shown)
    await ended(probe)
    return dict(probe.results - before)


async def ended(probe: LeakProbe) -> None:
    async with asyncio.timeout(10):
        await probe.idle.wait()


async def test_a_face_outside_the_masks_is_counted_and_told_without_a_pixel(clock: FakeClock) -> None:
    eyes = Eyes(FACE, SEEN)
    with capture_logs() as logs:
        async with watching(eyes, clock) as probe:
            assert await outcome(probe, clock, published(FACE)) == {ProbeResult.RESIDUAL: 1}
            assert probe.residual_faces == 1
    assert logs == [
        {
            "event": "a face is visible in what was published",
            "log_level": "error",
            "camera": "lobby",
            "box": [220, 80, 270, 140],
            "score": 0.62,
            "faces": 1,
            "probes": 1,
        }
    ]


async def test_a_face_under_its_mask_is_none(clock: FakeClock) -> None:
    trembling = replace(FACE, box=Box(96, 74, 158, 149))
    with capture_logs() as logs:
        async with watching(Eyes(trembling), clock) as probe:
            assert await outcome(probe, clock, published(FACE)) == {ProbeResult.CLEAR: 1}
    assert (probe.residual_faces, logs) == (0, [])


async def test_it_looks_at_the_packets_and_not_at_the_picture_they_should_hold(clock: FakeClock) -> None:
    """The picture says that all is well; the packets are of another one. What is searched is the packets'."""
    eyes, shown, other = Eyes(), published(FACE), published()
    async with watching(eyes, clock) as probe:
        await outcome(probe, clock, Published(shown.frame, other.packets))
    [(looked, _)] = eyes.asked
    difference = np.abs(looked.y.astype(int) - other.frame.i420[:240]).mean()
    assert difference < np.abs(looked.y.astype(int) - shown.frame.i420[:240]).mean()
    assert difference < 6


async def test_it_asks_under_a_name_of_its_own_with_lower_thresholds(clock: FakeClock) -> None:
    eyes = Eyes()
    async with watching(eyes, clock, detector=DetectOptions(min_size=24, network_thresholds=(0.4, 0.7, 0.8))) as probe:
        for index in range(2):
            await outcome(probe, clock, published(index=index))
    assert {frame.id.camera for frame, _ in eyes.asked} == {PREFIX + "lobby"}
    assert len({frame.id for frame, _ in eyes.asked}) == 2
    options = eyes.asked[0][1]
    assert options == DetectOptions(min_size=24, network_thresholds=(0.4, 0.5, 0.5), score_threshold=0.5)
    assert eyes.forgotten == [PREFIX + "lobby"]


def test_thresholds_that_are_lower_already_stay() -> None:
    options = DetectOptions(network_thresholds=(0.2, 0.3, 0.4), score_threshold=0.3, scale_factor=0.8)
    assert keener(options, 0.5) == options


async def test_a_probe_comes_each_interval_and_takes_a_keyframe_only(clock: FakeClock) -> None:
    eyes, shown = Eyes(), published()
    plain = [replace(packet, keyframe=False) for packet in shown.packets]
    async with watching(eyes, clock) as probe:
        probe.offer(*shown)
        await clock.advance(EVERY - 0.1)
        probe.offer(*shown)
        assert eyes.asked == []
        await clock.advance(0.1)
        probe.offer(shown.frame, plain)
        probe.offer(shown.frame, [])
        await settle()
        assert eyes.asked == []
        probe.offer(*shown)
        probe.offer(*shown)
        await ended(probe)
        assert len(eyes.asked) == 1
        await outcome(probe, clock, shown)
        assert len(eyes.asked) == 2
    assert probe.results == {ProbeResult.CLEAR: 2}


def test_the_probes_of_a_fleet_do_not_come_all_at_once() -> None:
    phases = [spread(f"cam{number}") for number in range(40)]
    assert all(0 <= phase < 1 for phase in phases)
    assert {int(phase * 4) for phase in phases} == {0, 1, 2, 3}
    assert max(np.histogram(phases, 8, (0, 1))[0]) <= 10


async def test_the_first_probe_waits_for_the_cameras_place_in_the_interval(clock: FakeClock) -> None:
    eyes = Eyes()
    probe = LeakProbe("lobby", camera(), detector=eyes, clock=clock, phase=lambda name: 0.5)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(probe.run(), name="probe")
        await clock.advance(1.5 * EVERY - 0.1)
        probe.offer(*published())
        assert probe.idle.is_set()
        await clock.advance(0.1)
        probe.offer(*published())
        assert not probe.idle.is_set()
        await ended(probe)
        task.cancel()


@pytest.mark.parametrize(("keyframes", "asks"), [(2.0, 0), (10.0, 0), (30.0, 1)])
async def test_a_keyframe_is_asked_for_only_where_they_are_rarer_than_probes(
    clock: FakeClock, keyframes: float, asks: int
) -> None:
    asked: list[None] = []
    async with watching(Eyes(), clock, asked=lambda: asked.append(None), encode=Encode(keyframe_interval=keyframes)):
        await clock.advance(EVERY)
    assert len(asked) == asks


async def test_concealed_and_held_pictures_are_skipped(clock: FakeClock) -> None:
    eyes = Eyes(SEEN)
    maker = anonymiser(clock)
    held = maker.absent("no_signal", message="no signal")
    async with watching(eyes, clock) as probe:
        assert await outcome(probe, clock, published(concealed=True)) == {ProbeResult.SKIPPED: 1}
        assert await outcome(probe, clock, Published(held, published().packets)) == {ProbeResult.SKIPPED: 1}
    assert eyes.asked == []


async def test_a_time_in_which_nothing_was_published_is_skipped(clock: FakeClock) -> None:
    async with watching(Eyes(), clock) as probe:
        await clock.advance(3 * EVERY)
        assert probe.results == {ProbeResult.SKIPPED: 2}
        probe.offer(*published())
        await ended(probe)
        assert probe.results == {ProbeResult.SKIPPED: 2, ProbeResult.CLEAR: 1}


@pytest.mark.parametrize(
    "error", [DetectionError("timeout", "no answer"), DetectionError("canary", "blind"), RuntimeError("boom")]
)
async def test_a_detector_that_gives_no_answer_is_only_counted(clock: FakeClock, error: Exception) -> None:
    async def fails(frame: RawFrame) -> Detections:
        raise error

    with capture_logs() as logs:
        async with watching(Eyes(answer=fails), clock) as probe:
            for _ in range(3):
                assert await outcome(probe, clock, published()) == {ProbeResult.FAILED: 1}
    assert [(line["event"], line["camera"]) for line in logs] == [("leak probe failed", "lobby")]


async def test_an_answer_for_another_picture_is_none(clock: FakeClock) -> None:
    async def wrong(frame: RawFrame) -> Detections:
        return Detections(FrameId("lobby", 1, 0), ())

    async with watching(Eyes(answer=wrong), clock) as probe:
        assert await outcome(probe, clock, published()) == {ProbeResult.FAILED: 1}


async def test_packets_that_are_no_picture_or_another_size_are_a_failure(clock: FakeClock) -> None:
    frame, packets = published()
    raw = raw_frame(size=(160, 120))
    small = Encoder("lobby", Encode(), clock=SystemClock()).encode(anonymiser().seal(raw, Detections(raw.id, ())))
    async with watching(Eyes(), clock) as probe:
        broken = Published(frame, [replace(packets[0], data=b"\x00\x00\x00\x01\x65\xff")])
        assert await outcome(probe, clock, broken) == {ProbeResult.FAILED: 1}
        assert await outcome(probe, clock, Published(frame, small)) == {ProbeResult.FAILED: 1}
        assert await outcome(probe, clock, published()) == {ProbeResult.CLEAR: 1}


async def test_a_hanging_detector_is_given_up_and_the_next_probe_looks_again(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WITHIN", 0.2)
    hang = [True]

    async def hangs(frame: RawFrame) -> Detections:
        if hang.pop():
            await asyncio.Event().wait()
        return Detections(frame.id, ())

    async with watching(Eyes(answer=hangs), clock) as probe:
        assert await outcome(probe, clock, published()) == {ProbeResult.FAILED: 1}
        hang.append(False)
        assert await outcome(probe, clock, published()) == {ProbeResult.CLEAR: 1}


async def test_while_a_decoder_hangs_probes_are_skipped_and_nothing_piles_up(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WITHIN", 0.05)
    release, calls = threading.Event(), []

    def hangs(packets: Sequence[EncodedPacket]) -> DecodedPicture:
        calls.append(threading.current_thread().name)
        release.wait(10)
        return decoded(packets)

    try:
        async with watching(Eyes(), clock, decode=hangs) as probe:
            assert await outcome(probe, clock, published()) == {ProbeResult.FAILED: 1}
            for _ in range(3):
                assert await outcome(probe, clock, published()) == {ProbeResult.SKIPPED: 1}
            assert len(calls) == 1
            assert calls[0].startswith("probe:lobby"), "never on the loop"
            release.set()
            assert probe._decoding is not None
            await asyncio.wrap_future(probe._decoding)
            assert await outcome(probe, clock, published()) == {ProbeResult.CLEAR: 1}
    finally:
        release.set()


async def test_a_probe_that_still_runs_makes_the_next_one_skip(clock: FakeClock) -> None:
    go_on = asyncio.Event()

    async def waits(frame: RawFrame) -> Detections:
        await go_on.wait()
        return Detections(frame.id, ())

    async with watching(Eyes(answer=waits), clock) as probe:
        await clock.advance(EVERY)
        probe.offer(*published())
        await clock.advance(2 * EVERY)
        probe.offer(*published())
        assert probe.results == {ProbeResult.SKIPPED: 2}
        go_on.set()
        await ended(probe)
        assert probe.results == {ProbeResult.SKIPPED: 2, ProbeResult.CLEAR: 1}


async def test_a_picture_in_which_no_network_would_look_is_skipped(clock: FakeClock) -> None:
    async with watching(Eyes(), clock, detector=DetectOptions(min_size=240)) as probe:
        assert await outcome(probe, clock, published()) == {ProbeResult.SKIPPED: 1}


async def test_the_log_has_one_line_a_minute_and_the_counts_have_all(clock: FakeClock) -> None:
    with capture_logs() as logs:
        async with watching(Eyes(SEEN), clock) as probe:
            for _ in range(7):
                await outcome(probe, clock, published())
    assert probe.results == {ProbeResult.RESIDUAL: 7}
    assert [line["probes"] for line in logs] == [1, 6]


# Beside the camera's pipeline


class Fleet:
    """A camera's pipeline that runs, with what it wrote into its stream."""

    def __init__(self, eyes: Eyes, clock: FakeClock, settings: Camera) -> None:
        self.pipeline = CameraPipeline("lobby", settings, detector=eyes, clock=clock)
        self.written: list[EncodedPacket] = []
        self._arrived = asyncio.Event()
        write = self.pipeline.stream.write

        def noted(packet: EncodedPacket) -> None:
            self.written.append(packet)
            write(packet)
            self._arrived.set()

        self.pipeline.stream.write = noted  # type: ignore[method-assign]

    async def publish(self, frame: RawFrame) -> None:
        self._arrived.clear()
        self.pipeline.feed(frame)
        async with asyncio.timeout(10):
            await self._arrived.wait()


@asynccontextmanager
async def running(eyes: Eyes, clock: FakeClock, settings: Camera) -> AsyncIterator[Fleet]:
    fleet = Fleet(eyes, clock, settings)
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(fleet.pipeline.run(), name="run")
            await settle()
            yield fleet
            task.cancel()
    finally:
        await fleet.pipeline.close()


async def show(eyes: Eyes, clock: FakeClock, settings: Camera, *, frames: int = 40) -> Fleet:
    """Half a second between frames, so that a keyframe comes by itself every two seconds."""
    async with running(eyes, clock, settings) as fleet:
        for index in range(frames):
            await fleet.publish(raw_frame(index, captured=clock.monotonic()))
            await ended(fleet.pipeline._probe)
            await clock.advance(0.5)
        await ended(fleet.pipeline._probe)
        return fleet


def probed(eyes: Eyes) -> list[RawFrame]:
    return [frame for frame, _ in eyes.asked if frame.id.camera == PREFIX + "lobby"]


async def only_the_probe_sees(frame: RawFrame) -> Detections:
    return Detections(frame.id, (SEEN,) if frame.id.camera.startswith(PREFIX) else ())


async def test_a_camera_whose_detector_missed_a_face_is_told(clock: FakeClock) -> None:
    with capture_logs() as logs:
        fleet = await show(Eyes(answer=only_the_probe_sees), clock, camera(5.0))
    status = fleet.pipeline.status()
    assert status.probed["residual"] >= 2
    assert status.residual_faces == status.probed["residual"]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "a face is visible in what was published"
    ]


async def test_a_camera_whose_faces_are_masked_is_well(clock: FakeClock) -> None:
    fleet = await show(Eyes(SEEN), clock, camera(5.0))
    assert fleet.pipeline.status().probed["clear"] >= 2
    assert "residual" not in fleet.pipeline.status().probed


async def test_by_default_nothing_is_probed(clock: FakeClock) -> None:
    eyes = Eyes(SEEN)
    fleet = await show(
        eyes, clock, Camera.model_validate({"source": Source("demo", ""), "track": Track(enabled=False)})
    )
    assert probed(eyes) == []
    assert fleet.pipeline.status().probed == {}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(PREFIX)]


async def raises_for_probes(frame: RawFrame) -> Detections:
    if frame.id.camera.startswith(PREFIX):
        raise RuntimeError("boom")
    return Detections(frame.id, ())


@pytest.mark.parametrize("answer", [only_the_probe_sees, raises_for_probes])
async def test_a_probe_writes_nothing_into_the_stream_and_changes_nothing_of_it(answer: Answer) -> None:
    """Byte for byte the same packets with a probe, whatever it finds or suffers, and without one."""

    def bits(fleet: Fleet) -> list[tuple[bytes, bool]]:
        return [(packet.data, packet.keyframe) for packet in fleet.written]

    without = await show(Eyes(answer=answer), FakeClock(), camera(0.0))
    eyes = Eyes(answer=answer)
    beside = await show(eyes, FakeClock(), camera(5.0))
    assert len(probed(eyes)) >= 2
    assert bits(beside) == bits(without)
    assert beside.pipeline.status().published == without.pipeline.status().published
