from __future__ import annotations

import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.config.model import Anonymise, Encode
from faceanond.errors import EncodeError
from faceanond.frames import ColourMatrix, Verdict
from faceanond.publish import h264
from faceanond.publish.encoder import ASSUMED_FPS, Encoder, video_frame
from faceanond.publish.h264 import NalType
from faceanond.publish.packet import EncodedPacket
from tests.conftest import FakeClock, need_tool
from tests.publish.sealed import moving, picture, sealed


def encoder(clock: FakeClock, **settings: Any) -> Encoder:
    return Encoder("yard", Encode(**settings), clock=clock)


def decode(packets: list[EncodedPacket]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.data))]
    return frames + decoder.decode(None)


def kinds(packet: EncodedPacket) -> list[int]:
    return [h264.nal_type(nal) for nal in h264.split(packet.data)]


def test_each_frame_gives_one_packet_at_once(clock: FakeClock) -> None:
    one = encoder(clock)
    assert [len(one.encode(moving(index))) for index in range(10)] == [1] * 10


@pytest.mark.parametrize(("width", "height"), [(64, 48), (480, 270), (16, 2), (98, 66)])
def test_the_decoded_picture_is_the_one_that_was_sealed(clock: FakeClock, width: int, height: int) -> None:
    pattern = np.full((height * 3 // 2, width), 128, np.uint8)
    pattern[:height] = np.linspace(30, 200, width, dtype=np.uint8)
    pattern[height:] = np.linspace(110, 140, height // 2, dtype=np.uint8)[:, None]
    (packet,) = encoder(clock, bitrate="20M").encode(sealed(pattern))
    (back,) = decode([packet])
    assert np.abs(back.to_ndarray().astype(int) - pattern).max() <= 12


def test_a_keyframe_is_sps_pps_and_idr_and_nothing_else(clock: FakeClock) -> None:
    one = encoder(clock)
    (first,) = one.encode(moving(0))
    (second,) = one.encode(moving(1))
    assert kinds(first) == [NalType.SPS, NalType.PPS, NalType.IDR]
    assert kinds(second) == [NalType.SLICE]
    assert (first.keyframe, second.keyframe) == (True, False)


def test_the_stream_is_constrained_baseline_of_the_true_level(clock: FakeClock) -> None:
    (packet,) = encoder(clock).encode(sealed(picture(0, 1280, 720)))
    sets = h264.parameter_sets(packet.data)
    assert sets is not None
    assert sets.profile_level_id == "42c01f"


@pytest.mark.parametrize(("matrix", "code"), [(ColourMatrix.BT601, 6), (ColourMatrix.BT709, 1)])
def test_range_and_matrix_are_signalled(clock: FakeClock, matrix: ColourMatrix, code: int) -> None:
    (back,) = decode(encoder(clock).encode(sealed(picture(0), matrix=matrix)))
    assert (back.color_range, back.colorspace) == (1, code)


def test_keyframes_come_by_time_whatever_the_frame_rate(clock: FakeClock) -> None:
    one = encoder(clock, keyframe_interval="1s")
    times = [0.0, 0.4, 0.8, 1.2, 1.3, 1.4, 2.1, 2.25, 5.0]
    keyframes = [one.encode(sealed(picture(0), captured=time))[0].keyframe for time in times]
    assert keyframes == [True, False, False, True, False, False, False, True, True]


def test_a_keyframe_that_is_asked_for_is_an_idr_and_restarts_the_interval(clock: FakeClock) -> None:
    one = encoder(clock, keyframe_interval="1s")
    packets = [one.encode(moving(index, fps=10), keyframe=index == 5)[0] for index in range(16)]
    assert [index for index, packet in enumerate(packets) if packet.keyframe] == [0, 5, 15]
    assert NalType.IDR in kinds(packets[5])
    assert len(decode(packets[5:])) == 11


def test_a_cut_in_the_picture_makes_no_keyframe_of_its_own(clock: FakeClock) -> None:
    one = encoder(clock)
    noise = np.random.default_rng(1).integers(16, 235, (72, 64), np.uint8)
    packets = [one.encode(moving(0)), one.encode(sealed(noise, captured=0.04))]
    assert [packet.keyframe for (packet,) in packets] == [True, False]


def test_a_new_size_starts_with_an_idr_of_that_size(clock: FakeClock) -> None:
    one = encoder(clock)
    one.encode(moving(0))
    (packet,) = one.encode(moving(1, width=96, height=80))
    assert packet.keyframe
    assert (packet.width, packet.height) == (96, 80)
    (back,) = decode([packet])
    assert (back.width, back.height) == (96, 80)


def test_timestamps_count_ninety_thousandths_of_the_capture_time(clock: FakeClock) -> None:
    one = encoder(clock)
    packets = [one.encode(sealed(picture(0), captured=time))[0] for time in (1000.0, 1000.04, 1000.1)]
    assert [packet.timestamp for packet in packets] == [90_000_000, 90_003_600, 90_009_000]


def test_timestamps_rise_even_when_capture_times_do_not(clock: FakeClock) -> None:
    one = encoder(clock)
    packets = [one.encode(sealed(picture(0), captured=time))[0] for time in (10.0, 10.0, 9.0, 10.5)]
    assert [packet.timestamp for packet in packets] == [900_000, 900_001, 900_002, 945_000]


def test_a_packet_tells_where_it_comes_from(clock: FakeClock) -> None:
    frame = sealed(picture(0), captured=999.5, concealed=True)
    (packet,) = encoder(clock).encode(frame)
    assert (packet.captured, packet.encoded, packet.verdict) == (999.5, 1000.0, Verdict.FULL)


def test_shared_frames_are_neither_written_to_nor_kept(clock: FakeClock) -> None:
    frame = moving(0)
    before, references = frame.i420.copy(), sys.getrefcount(frame.i420)
    one = encoder(clock)
    one.encode(frame)
    one.encode(frame, keyframe=True)
    kept = sys.getrefcount(frame.i420) - references
    assert kept == 0
    assert np.array_equal(frame.i420, before)


@pytest.mark.parametrize("height", [48, 54])
def test_a_picture_reaches_ffmpeg_whole_whatever_its_height(height: int) -> None:
    pixels = picture(3, 64, height)
    assert np.array_equal(video_frame(sealed(pixels)).to_ndarray(), pixels)


@pytest.mark.parametrize("fps", [5, 60])
def test_the_bit_rate_is_kept_when_the_assumed_frame_rate_was_wrong(clock: FakeClock, fps: int) -> None:
    random = np.random.default_rng(7)
    noise = [sealed(random.integers(16, 235, (180, 160), np.uint8)).i420 for _ in range(8)]
    one = encoder(clock, bitrate="400k", preset="ultrafast")
    sizes = [len(one.encode(sealed(noise[i % 8], captured=i / fps))[0].data) for i in range(fps * 8)]
    settled = sizes[fps * 4 :]
    assert sum(settled) * 8 / 4 == pytest.approx(400_000, rel=0.25)
    assert one.fps == pytest.approx(fps, rel=0.2)


LEVELS = [
    # size, fps, bit rate, level_idc; the frame rate is found out within the first keyframe interval
    ((640, 360), 25, "2M", 30),
    ((426, 240), 5, "500k", 21),  # 405 macroblocks; 2.0 has 396
    ((98, 66), 25, "200k", 12),
    ((480, 270), 60, "1M", 30),
    ((704, 576), 30, "2M", 31),  # at the 25 fps that are assumed at first, 3.0 would do
    ((1280, 720), 30, "2M", 31),
    ((1280, 720), 60, "2M", 32),
    ((1920, 1080), 25, "4M", 40),
    ((3840, 2160), 5, "8M", 51),
]


@pytest.mark.may_block
@pytest.mark.parametrize(
    ("size", "fps", "bitrate", "level"), LEVELS, ids=[f"{s[0]}x{s[1]}@{f}" for s, f, _, _ in LEVELS]
)
def test_ffmpeg_reads_constrained_baseline_without_reordering_of_the_true_level(
    clock: FakeClock, size: tuple[int, int], fps: int, bitrate: str, level: int
) -> None:
    one = encoder(clock, bitrate=bitrate, keyframe_interval="0.5s", preset="ultrafast")
    frame = sealed(picture(0, *size))
    # The same picture again and again: only the headers matter here, and their times.
    packets = [one.encode(sealed(frame.i420, captured=i / fps))[0] for i in range(9 if fps < 10 else fps // 2 + 2)]
    packets += one.encode(sealed(frame.i420, captured=10.0), keyframe=True)
    units = traced(b"".join(packet.data for packet in packets))
    head = [NalType.SPS, NalType.PPS, NalType.IDR]
    assert [values(unit, "nal_unit_type") for unit in units] == [
        head if packet.keyframe else [NalType.SLICE] for packet in packets
    ]
    headers = "".join(units)
    sets = sum(packet.keyframe for packet in packets)
    assert sets >= 2
    for field, value in {
        "profile_idc": 66,
        "constraint_set0_flag": 1,
        "constraint_set1_flag": 1,
        "max_num_ref_frames": 1,
        "pic_order_cnt_type": 2,  # output order is decoding order
        "entropy_coding_mode_flag": 0,
        "bitstream_restriction_flag": 1,
        "max_num_reorder_frames": 0,
        "max_dec_frame_buffering": 1,
        "fixed_frame_rate_flag": 0,
        "video_full_range_flag": 0,
    }.items():
        assert values(headers, field) == [value] * sets, field
    assert values(headers, "level_idc")[-1] == level


def traced(stream: bytes) -> list[str]:
    """What FFmpeg's own parser finds in the headers of a stream, by access unit."""
    command = [need_tool("ffmpeg"), "-v", "trace", "-f", "h264", "-i", "-", "-c", "copy", "-bsf:v", "trace_headers"]
    result = subprocess.run([*command, "-f", "null", "-"], input=stream, capture_output=True, timeout=30, check=True)
    lines = [line for line in result.stderr.decode(errors="replace").splitlines() if "[trace_headers" in line]
    # Before the first one it shows what the demuxer had found out by itself.
    return re.split(r"\] Packet: \d+ bytes", "\n".join(lines))[1:]


def values(headers: str, field: str) -> list[int]:
    return [int(value) for value in re.findall(rf"\b{field} +[01]+ = (\d+)", headers)]


def test_held_pictures_are_no_measure_of_the_cameras_rate(clock: FakeClock) -> None:
    anonymiser = Anonymiser("yard", Anonymise(), clock=clock)
    one = encoder(clock, keyframe_interval="1s", preset="ultrafast")
    for _ in range(20):
        clock.move(0.2)
        one.encode(anonymiser.absent("no_signal", message="no signal yet"))
    assert one.fps == ASSUMED_FPS
    for index in range(60):
        one.encode(moving(index, start=clock.monotonic() + 1))
    assert one.fps == ASSUMED_FPS


def test_a_rate_far_above_the_assumed_one_is_corrected_before_the_keyframe_interval_is_over(clock: FakeClock) -> None:
    one = encoder(clock, keyframe_interval="60s")
    packets = [one.encode(moving(index, fps=60))[0] for index in range(70)]
    (at,) = [index for index, packet in enumerate(packets) if packet.keyframe and index]
    assert 60 <= at <= 64
    assert one.fps == pytest.approx(60, rel=0.02)


def test_a_jittering_rate_does_not_open_the_encoder_anew(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    one = encoder(clock)
    opened = 0
    really_open = one._open

    def counting(*arguments: Any) -> None:
        nonlocal opened
        opened += 1
        really_open(*arguments)

    monkeypatch.setattr(one, "_open", counting)
    for index in range(200):
        one.encode(sealed(picture(index), captured=index / 25 + (index % 3) * 0.01))
    assert opened == 1


def test_no_keyframe_is_so_large_that_it_blocks_a_viewer(clock: FakeClock) -> None:
    noise = np.random.default_rng(3).integers(16, 235, (360 * 3 // 2, 640), np.uint8)
    (packet,) = encoder(clock, bitrate="1M").encode(sealed(noise))
    assert len(packet.data) * 8 <= 1_000_000


@pytest.mark.parametrize("impostor", [picture(0), SimpleNamespace(**{"i420": picture(0)}), None])
def test_only_sealed_frames_are_encoded(clock: FakeClock, impostor: Any) -> None:
    with pytest.raises(TypeError, match="only an AnonymisedFrame"):
        encoder(clock).encode(impostor)


def test_a_size_beyond_h264_is_an_encode_error_with_the_cameras_name(clock: FakeClock) -> None:
    with pytest.raises(EncodeError, match="camera yard: cannot encode 18000x16"):
        encoder(clock).encode(sealed(np.zeros((24, 18_000), np.uint8)))


def test_after_an_error_the_next_frame_starts_anew(clock: FakeClock) -> None:
    one = encoder(clock)
    one.encode(moving(0))
    with pytest.raises(EncodeError):
        one.encode(sealed(np.zeros((24, 18_000), np.uint8), captured=0.02))
    assert one.encode(moving(1))[0].keyframe


def test_a_closed_encoder_can_be_closed_again_and_counts_stay(clock: FakeClock) -> None:
    one = encoder(clock)
    (packet,) = one.encode(moving(0))
    one.close()
    one.close()
    assert one.bytes == len(packet.data)
    assert one.encode_seconds.snapshot().count == 1
