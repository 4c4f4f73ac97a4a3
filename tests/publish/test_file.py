from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from faceanond.errors import FaceanondError, UnavailableError, UsageError
from faceanond.frames import ColourMatrix
from faceanond.publish.file import FileWriter
from tests.publish.sealed import moving, picture, sealed

TIMES = (0.0, 0.04, 0.05, 0.5, 1.7)


def written(path: Path, times: tuple[float, ...] = TIMES, **options: Any) -> Path:
    with FileWriter(path, fps=25, **options) as writer:
        for index, time in enumerate(times):
            writer.write(sealed(picture(index), pts=time))
    return path


def with_sound(path: Path, *, codec: str = "aac", seconds: float = 2.0, metadata: str = "secret place") -> Path:
    """A file as a camera's recorder might make it: video, audio and a title."""
    with av.open(str(path), "w") as output:
        output.metadata["title"] = metadata
        video = output.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = output.add_stream(codec, rate=8000, layout="mono")
        sound.metadata["language"] = "deu"
        for index in range(int(seconds * 25)):
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture(index), format="yuv420p")))
        for index in range(int(seconds * 8)):
            samples = av.AudioFrame.from_ndarray(np.full((1, 1000), 500, np.int16), format="s16", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = 8000, index * 1000, Fraction(1, 8000)
            output.mux(sound.encode(samples))
        output.mux(video.encode(None))
        output.mux(sound.encode(None))
    return path


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".m4v", ".MP4"])
def test_every_frame_is_there_at_its_own_time(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"out{suffix}")
    with av.open(str(path)) as back:
        frames = list(back.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx(TIMES, abs=0.0005)
    assert np.abs(frames[3].to_ndarray().astype(int) - picture(3)).mean() < 2
    assert left_in(tmp_path) == [path.name]


def test_colours_are_signalled(tmp_path: Path) -> None:
    with av.open(str(written(tmp_path / "out.mp4"))) as back:
        context = back.streams.video[0].codec_context
        assert (context.color_range, context.colorspace) == (1, 1)


def test_two_frames_of_the_same_time_are_both_kept(tmp_path: Path) -> None:
    with av.open(str(written(tmp_path / "out.mp4", (0.0, 0.0, 0.04)))) as back:
        assert len(list(back.decode(video=0))) == 3


@pytest.mark.parametrize(("width", "height"), [(128, 48), (48, 96), (32, 24), (34, 26)])
def test_another_size_is_fitted_into_the_first_with_black_bars(tmp_path: Path, width: int, height: int) -> None:
    bright = np.full((height * 3 // 2, width), 200, np.uint8)
    bright[height:] = 128
    with FileWriter(tmp_path / "out.mp4", fps=25) as writer:
        writer.write(moving(0))
        writer.write(sealed(bright, pts=1.0))
    with av.open(str(tmp_path / "out.mp4")) as back:
        last = [frame.to_ndarray() for frame in back.decode(video=0)][-1][:48]
    covered = last > 110
    scale = min(64 / width, 48 / height)
    assert covered.sum() == pytest.approx(width * height * scale * scale, rel=0.12)
    assert covered[24, 32]
    assert covered.any(axis=1).sum() * covered.any(axis=0).sum() == pytest.approx(covered.sum(), rel=0.02)


def test_another_matrix_is_converted_to_the_first(tmp_path: Path) -> None:
    red = {ColourMatrix.BT709: (63, 102, 240), ColourMatrix.BT601: (81, 90, 240)}
    with FileWriter(tmp_path / "out.mp4", fps=25) as writer:
        for index, (matrix, (y, u, v)) in enumerate(red.items()):
            i420 = np.full((72, 64), y, np.uint8)
            i420[48:60], i420[60:] = u, v
            writer.write(sealed(i420, pts=index, matrix=matrix))
    with av.open(str(tmp_path / "out.mp4")) as back:
        for frame in back.decode(video=0):
            assert np.abs(frame.to_ndarray()[:48].astype(int) - 63).max() <= 4


def test_audio_and_metadata_stay_behind(tmp_path: Path) -> None:
    with_sound(tmp_path / "in.mp4")
    with av.open(str(written(tmp_path / "out.mp4"))) as back:
        assert len(back.streams) == 1
        assert "encoder" not in back.metadata
        assert "title" not in back.metadata


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_audio_is_copied_packet_by_packet_when_asked(tmp_path: Path, suffix: str) -> None:
    source = with_sound(tmp_path / "in.mp4")
    path = written(tmp_path / f"out{suffix}", audio_from=source)
    with av.open(str(path)) as back, av.open(str(source)) as original:
        assert [stream.type for stream in back.streams] == ["video", "audio"]
        copied = [(round(float(p.pts * p.time_base), 2), bytes(p)) for p in back.demux(audio=0) if p.pts is not None]
        wanted = [
            (round(float(p.pts * p.time_base), 2), bytes(p)) for p in original.demux(audio=0) if p.pts is not None
        ]
        assert "title" not in back.metadata
        assert back.streams.audio[0].metadata.get("language", "und") == "und"
    assert copied == [pair for pair in wanted if pair[0] >= 0]
    assert copied


def test_audio_that_the_container_cannot_hold_is_a_clear_error(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "in.mov", codec="pcm_mulaw")
    with pytest.raises(UsageError, match=r"pcm_mulaw does not fit into \.mp4; use \.mkv or \.mov"):
        written(tmp_path / "out.mp4", audio_from=source)
    assert left_in(tmp_path) == ["in.mov"]


def test_an_input_without_audio_gives_a_file_without(tmp_path: Path) -> None:
    silent = written(tmp_path / "silent.mp4")
    with av.open(str(written(tmp_path / "out.mp4", audio_from=silent))) as back:
        assert [stream.type for stream in back.streams] == ["video"]


def test_an_unknown_suffix_is_a_usage_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"use one of \.mp4, \.m4v, \.mov, \.mkv"):
        FileWriter(tmp_path / "out.avi")
    assert left_in(tmp_path) == []


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"out\.mp4: cannot be written: No such file"):
        FileWriter(tmp_path / "nowhere" / "out.mp4")


def test_an_error_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with FileWriter(tmp_path / "out.mp4") as writer:
            writer.write(moving(0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert left_in(tmp_path) == []


def test_until_it_is_finished_an_older_file_keeps_the_name(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    with FileWriter(path) as writer:
        writer.write(moving(0))
        assert path.read_bytes() == b"older"
    assert path.stat().st_size > 100


def test_a_file_without_pictures_is_none(tmp_path: Path) -> None:
    with pytest.raises(FaceanondError, match="no picture to write"), FileWriter(tmp_path / "out.mp4"):
        pass
    assert left_in(tmp_path) == []


def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")

    def fill() -> None:
        with FileWriter(tmp_path / "out.mkv") as writer:
            writer._temporary.unlink()
            writer._temporary.symlink_to("/dev/full")
            for index in range(100):
                noise = np.random.default_rng(index).integers(16, 235, (360, 320), np.uint8)
                writer.write(sealed(noise, pts=index / 25))

    with pytest.raises(FaceanondError, match=r"out\.mkv: cannot be written: No space left on device"):
        fill()
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("impostor", [picture(0), None])
def test_only_sealed_frames_are_written(tmp_path: Path, impostor: Any) -> None:
    writer = FileWriter(tmp_path / "out.mp4")
    with pytest.raises(TypeError, match="only an AnonymisedFrame"):
        writer.write(impostor)
    writer.discard()
