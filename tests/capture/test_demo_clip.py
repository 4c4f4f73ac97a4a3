"""The demo's scene as an H.264 file."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from faceanond.capture.demo import DemoOptions, DemoSource
from faceanond.capture.demo_clip import LEAST, write_demo_clip
from faceanond.clock import SystemClock
from tests.conftest import FakeClock

OPTIONS = DemoOptions(width=640, height=360, fps=10, faces=2)


def test_the_clip_is_what_a_camera_sends(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    clip = write_demo_clip(str(path), OPTIONS, frames=25, within=60, clock=SystemClock())
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert (stream.codec_context.name, stream.codec_context.profile) == ("h264", "High")
        assert (stream.width, stream.height, stream.average_rate) == (640, 360, 10)
    assert len(packets) == clip.frames == 25
    assert [index for index, packet in enumerate(packets) if packet.is_keyframe] == [0, 20]
    assert all(packet.pts == packet.dts for packet in packets), "no B-frames"
    bits_a_second = 8 * sum(packet.size for packet in packets) / 2.5
    assert 0.5 < bits_a_second / (640 * 360 * 10 * 0.08) < 1.5


def test_the_clip_shows_the_scene_with_some_noise(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    clip = write_demo_clip(str(path), OPTIONS, frames=9, within=60, clock=SystemClock())
    scene = DemoSource("cam", OPTIONS, generation=1, clock=SystemClock(), live=False)
    scene.open()
    with av.open(str(path)) as container:
        decoded = [frame.to_ndarray(format="yuv420p")[:360] for frame in container.decode(video=0)]
    for index, luma in enumerate(decoded):
        difference = luma.astype(float) - scene.frame(index).y
        assert abs(difference.mean()) < 1
        assert difference.std() < 6
    assert np.any(decoded[1][200:] != decoded[0][200:]), "a still part of the scene has noise, too"
    assert clip.faces == np.mean([len(scene.true_boxes(index)) for index in range(9)]) > 0


def test_the_same_pictures_follow_each_other_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    assert write_demo_clip(str(path), OPTIONS, frames=9, within=60, clock=SystemClock(), times=3).frames == 9
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert [round(frame.time * 10) for frame in frames] == list(range(27))
    assert [index for index, frame in enumerate(frames) if frame.key_frame] == [0, 9, 18]
    for index in range(18):
        assert np.array_equal(frames[index].to_ndarray(), frames[index + 9].to_ndarray())


def test_it_ends_early_when_the_time_is_over_but_never_with_next_to_nothing(tmp_path: Path) -> None:
    class SlowClock(FakeClock):
        def monotonic(self) -> float:
            self._now += 1.0
            return self._now

    def frames(within: float) -> int:
        return write_demo_clip(str(tmp_path / "clip.mkv"), OPTIONS, frames=100, within=within, clock=SlowClock()).frames

    assert frames(0.0) == LEAST
    assert LEAST < frames(15.0) < 15


def test_sizes_beyond_those_of_a_demo_camera_are_possible(tmp_path: Path) -> None:
    options = DemoOptions(width=4000, height=240, fps=5, faces=1)
    clip = write_demo_clip(str(tmp_path / "clip.mkv"), options, frames=1, within=60, clock=SystemClock())
    assert clip.frames == 1
    with av.open(str(tmp_path / "clip.mkv")) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (4000, 240)
