"""Files and their faults through FFmpeg. Cameras are in test_cameras.py."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from faceanond.capture import pyav_source
from faceanond.capture.options import target
from faceanond.capture.pacing import Pacer
from faceanond.capture.pyav_source import PyAvSource
from faceanond.config.model import Camera
from faceanond.errors import SourceError, SourceFault
from faceanond.frames import RawFrame
from tests.capture.clips import write, write_sound
from tests.capture.test_pacing import SteppedClock
from tests.conftest import FakeClock, need_tool


def source(path: Path, clock: FakeClock | None = None, *, live: bool = False) -> PyAvSource:
    clock = clock or SteppedClock()
    wait = clock.wait if isinstance(clock, SteppedClock) else None
    return PyAvSource(
        "cam",
        target(Camera(source=f"file:{path}")),
        generation=3,
        clock=clock,
        timeout=10.0,
        live=live,
        pacer=Pacer(clock, longest=5.0, wait=wait),
    )


def frames(path: Path) -> list[RawFrame]:
    reader = source(path)
    reader.open()
    try:
        return list(iter(reader.read, None))
    finally:
        reader.close()


def fault(path: Path) -> SourceFault:
    reader = source(path)
    with pytest.raises(SourceError) as caught:
        reader.open()
    reader.close()
    assert str(path) in str(caught.value)
    return caught.value.fault


def test_a_file_gives_every_picture_once_and_ends(tmp_path: Path) -> None:
    got = frames(write(tmp_path / "a.mp4", frames=37, options={"bf": "3"}))
    assert [frame.id.index for frame in got] == list(range(37))
    assert [frame.pts for frame in got] == pytest.approx([index / 25 for index in range(37)])
    assert {frame.suspect for frame in got} == {None}
    assert {(frame.id.camera, frame.id.generation) for frame in got} == {("cam", 3)}


def test_opening_tells_what_the_file_is(tmp_path: Path) -> None:
    reader = source(write(tmp_path / "a.mp4", frames=50, size=(160, 90), fps=10))
    info = reader.open()
    reader.close()
    assert (info.codec, info.width, info.height, info.fps, info.live) == ("h264", 160, 90, 10.0, False)
    assert info.frames == 50
    assert info.duration == pytest.approx(5.0, abs=0.2)


def test_a_live_file_loops_at_its_own_speed_with_one_time_line(tmp_path: Path) -> None:
    clock = SteppedClock()
    reader = source(write(tmp_path / "a.mp4", frames=5, fps=10), clock, live=True)
    reader.open()
    got = [reader.read() for _ in range(12)]
    reader.close()
    assert [frame.id.index for frame in got] == list(range(12))
    assert [frame.pts for frame in got] == pytest.approx([index / 10 for index in range(12)])
    captured = [frame.captured for frame in got]
    assert [b - a for a, b in itertools.pairwise(captured)] == pytest.approx([0.1] * 11)


def test_a_pause_in_a_live_file_is_no_longer_than_the_watchdog_allows(tmp_path: Path) -> None:
    clock = SteppedClock()
    reader = source(write(tmp_path / "a.mp4", frames=4, pause=(2, 1000)), clock, live=True)
    reader.open()
    for _ in range(4):
        reader.read()
    reader.close()
    assert max(clock.waits) == 5.0


@pytest.mark.parametrize("name", ["missing.mp4", "missing/also.mp4"])
def test_a_missing_file_is_not_found(tmp_path: Path, name: str) -> None:
    assert fault(tmp_path / name) is SourceFault.NOT_FOUND


def test_a_directory_is_not_video(tmp_path: Path) -> None:
    assert fault(tmp_path) is SourceFault.NOT_VIDEO


@pytest.mark.parametrize("name", ["notes.txt", "video.mp4", "list.m3u8", "shell.ffconcat", "picture.svg"])
def test_text_is_not_video_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    secret = write(tmp_path / "other.mp4")
    path.write_text(
        f"#EXTM3U\n#EXTINF:5,\n{secret}\n#EXT-X-ENDLIST\n" if name.endswith("m3u8") else f"file '{secret}'\n" * 99
    )
    assert fault(path) is SourceFault.NOT_VIDEO


def test_sound_alone_is_not_video(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav")
    reader = source(path)
    with pytest.raises(SourceError, match="only sound"):
        reader.open()


def test_an_empty_file_is_not_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    assert fault(path) in (SourceFault.NOT_VIDEO, SourceFault.NO_FRAMES)


def test_a_file_cut_in_its_header_is_not_video(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:500])
    assert fault(path) is SourceFault.NOT_VIDEO


def test_a_video_without_pictures_has_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.start_encoding()
    assert fault(path) in (SourceFault.NO_FRAMES, SourceFault.NOT_VIDEO)


def test_a_file_cut_in_the_middle_gives_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", frames=100, size=(320, 240), options={"g": "10"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    got = frames(path)
    assert 10 < len(got) < 100


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.mp4")
    monkeypatch.setattr(pyav_source.os, "access", lambda *_: False)
    assert fault(path) is SourceFault.UNAUTHORISED


@pytest.mark.parametrize("size", [(8, 8), (8200, 16), (16, 8200)])
def test_absurd_sizes_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write(tmp_path / "a.mkv", codec="ffv1", pixels="gray", size=size, frames=1)
    assert fault(path) is SourceFault.NOT_VIDEO


@pytest.mark.parametrize("size", [(16, 16), (8192, 16)])
def test_the_smallest_and_the_largest_size_are_taken(tmp_path: Path, size: tuple[int, int]) -> None:
    assert frames(write(tmp_path / "a.mkv", codec="ffv1", size=size, frames=1))[0].size == size


@pytest.mark.parametrize(
    ("codec", "pixels", "size"),
    [
        ("libx264", "yuv422p", (64, 48)),
        ("libx264", "yuv444p", (64, 48)),
        ("libx264", "yuv420p10le", (64, 48)),
        ("libx265", "yuv420p10le", (64, 64)),
        ("libvpx-vp9", "yuv420p", (64, 48)),
        ("ffv1", "yuv420p", (321, 241)),
        ("mjpeg", "yuvj444p", (321, 241)),
        ("ffv1", "gray", (33, 17)),
        ("ffv1", "bgr0", (64, 48)),
    ],
)
def test_every_codec_and_format_becomes_planes_of_its_size(tmp_path: Path, codec, pixels, size) -> None:
    got = frames(write(tmp_path / "a.mkv", codec=codec, pixels=pixels, size=size, frames=3, full=pixels[:4] == "yuvj"))
    assert [frame.size for frame in got] == [size] * 3
    assert [frame.suspect for frame in got] == [None] * 3


def test_a_new_size_in_mid_stream_ends_a_live_source_and_is_an_error_in_a_file(tmp_path: Path) -> None:
    small = write(tmp_path / "a.h264", size=(64, 48), frames=5)
    large = write(tmp_path / "b.h264", size=(128, 96), frames=5)
    both = tmp_path / "c.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    for live, expected in ((True, SourceFault.ENDED), (False, SourceFault.CORRUPT)):
        reader = source(both, live=live)
        reader.open()
        with pytest.raises(SourceError, match="64x48 to 128x96") as caught:
            list(iter(reader.read, None))
        reader.close()
        assert caught.value.fault is expected


def damaged(path: Path, number: int) -> Path:
    """The clip with some bytes in the middle of one picture replaced."""
    out = path.with_name(f"damaged{path.suffix}")
    with av.open(str(path)) as read:
        packets = [bytes(packet) for packet in read.demux(video=0) if packet.size]
    bad = bytearray(packets[number])
    bad[len(bad) // 3 : len(bad) // 3 + 8] = b"\xa5" * 8
    packets[number] = bytes(bad)
    out.write_bytes(b"".join(packets))
    return out


def test_damage_makes_pictures_suspect_until_the_next_key_picture(tmp_path: Path) -> None:
    clip = write(
        tmp_path / "a.h264", frames=40, size=(320, 240), options={"g": "20", "bf": "0", "sc_threshold": "0", "qp": "12"}
    )
    suspects = [frame.suspect for frame in frames(damaged(clip, 5))]
    assert suspects[:5] == [None] * 5
    assert set(suspects[5:20]) == {"corrupt"}
    assert set(suspects[20:]) == {None}


def test_a_lost_picture_makes_pictures_suspect_until_the_next_key_picture(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.h264", frames=40, options={"g": "20", "bf": "0", "sc_threshold": "0"})
    with av.open(str(clip)) as read:
        packets = [bytes(packet) for packet in read.demux(video=0) if packet.size]
    del packets[7]
    clip.write_bytes(b"".join(packets))
    suspects = [frame.suspect for frame in frames(clip)]
    # Up to one picture from before the loss may still have been inside the decoder.
    assert suspects[:6] == [None] * 6
    assert suspects[7:19] == ["gap"] * 12
    assert suspects[19:] == [None] * 20


def test_nothing_but_damage_ends_in_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        good = stream.encode(av.VideoFrame(64, 48, "yuvj420p"))
        for index in range(120):
            packet = av.Packet(bytes(good[0]) if index < 3 else b"\xff\xd8 nothing that makes sense")
            packet.pts = packet.dts = index
            packet.time_base, packet.stream = stream.time_base or good[0].time_base, stream
            container.mux(packet)
    reader = source(path)
    reader.open()
    with pytest.raises(SourceError, match="could not be decoded") as caught:
        list(iter(reader.read, None))
    reader.close()
    assert caught.value.fault is SourceFault.CORRUPT
    assert reader.errors == pyav_source.MAX_ERRORS


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_phones_rotation_is_applied_as_players_do(tmp_path: Path, turn: int) -> None:
    ffmpeg = need_tool("ffmpeg")
    plain = write(tmp_path / "a.mp4", size=(64, 48), frames=2, options={"qp": "4"})
    turned = tmp_path / "turned.mp4"
    command = [ffmpeg, "-loglevel", "error", "-i", plain, "-c", "copy", "-metadata:s:v", f"rotate={turn}", turned]
    subprocess.run(command, check=True)
    raw = subprocess.run(
        [ffmpeg, "-loglevel", "error", "-i", turned, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"],
        check=True,
        capture_output=True,
    ).stdout
    size = (48, 64) if turn != 180 else (64, 48)
    reader = source(turned)
    info = reader.open()
    frame = reader.read()
    reader.close()
    assert (info.width, info.height) == frame.size == size
    expected = np.frombuffer(raw, np.uint8)[: size[0] * size[1]].reshape(size[1], size[0])
    assert np.abs(frame.y.astype(int) - expected).max() <= 2


def test_an_interrupt_ends_reading(tmp_path: Path) -> None:
    reader = source(write(tmp_path / "a.mp4"), FakeClock(), live=True)
    reader.open()
    reader.read()
    reader.interrupt()
    assert reader.read() is None
    reader.close()


def test_closing_twice_and_after_a_failed_open_is_harmless(tmp_path: Path) -> None:
    reader = source(tmp_path / "missing")
    with pytest.raises(SourceError):
        reader.open()
    reader.close()
    reader.close()


def test_frames_outlive_their_source(tmp_path: Path) -> None:
    got = frames(write(tmp_path / "a.mp4", frames=30, size=(320, 240)))
    again = frames(tmp_path / "a.mp4")
    assert all(np.array_equal(a.y, b.y) for a, b in zip(got, again, strict=True))


def test_real_clips_are_never_suspect(media: Path) -> None:
    for name in ("asl_again.mkv", "short_hamilton_clip.mp4", "people-detection.mp4"):
        assert {frame.suspect for frame in frames(media / "clips" / name)} == {None}
