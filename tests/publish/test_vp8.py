from __future__ import annotations

import sys
from typing import Any

import av
import numpy as np
import pytest

from faceanond.config.model import Encode
from faceanond.errors import EncodeError
from faceanond.frames import Verdict
from faceanond.publish.packet import Codec, EncodedPacket
from faceanond.publish.vp8 import Vp8Encoder
from tests.conftest import FakeClock
from tests.publish.sealed import moving, picture, sealed


def encoder(clock: FakeClock, **settings: Any) -> Vp8Encoder:
    return Vp8Encoder("yard", Encode(**settings), clock=clock)


def decode(packets: list[EncodedPacket]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("vp8", "r")
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.data))]
    return frames + decoder.decode(None)


def header(packet: EncodedPacket) -> dict[str, int]:
    """The frame tag and, of a keyframe, start code and size (RFC 6386, 9.1)."""
    tag = int.from_bytes(packet.data[:3], "little")
    found = {"key": 1 - (tag & 1), "version": tag >> 1 & 7, "shown": tag >> 4 & 1, "first_partition": tag >> 5}
    if found["key"]:
        assert packet.data[3:6] == b"\x9d\x01\x2a"
        width, height = (int.from_bytes(packet.data[at : at + 2], "little") for at in (6, 8))
        # The two highest bits would ask the player to scale.
        found |= {"width": width, "height": height}
    return found


@pytest.mark.parametrize(("width", "height"), [(64, 48), (480, 270), (98, 66), (426, 240), (1920, 1080)])
def test_the_bitstream_begins_with_a_keyframe_of_the_pictures_size(clock: FakeClock, width: int, height: int) -> None:
    one = encoder(clock)
    (first,) = one.encode(moving(0, width=width, height=height))
    (second,) = one.encode(moving(1, width=width, height=height))
    head = header(first)
    assert (head["key"], head["shown"], head["width"], head["height"]) == (1, 1, width, height)
    assert 0 < head["first_partition"] < len(first.data)
    assert (header(second)["key"], header(second)["shown"]) == (0, 1)
    assert (first.keyframe, second.keyframe) == (True, False)
    assert {first.codec, second.codec} == {Codec.VP8}


def test_each_frame_gives_one_visible_packet_at_once(clock: FakeClock) -> None:
    one = encoder(clock)
    packets = [one.encode(moving(index)) for index in range(60)]
    assert [len(found) for found in packets] == [1] * 60
    assert all(header(packet)["shown"] for (packet,) in packets)
    assert len(decode([packet for (packet,) in packets])) == 60


@pytest.mark.parametrize(("width", "height"), [(64, 48), (480, 270), (16, 2), (98, 66)])
def test_the_decoded_picture_is_the_one_that_was_sealed(clock: FakeClock, width: int, height: int) -> None:
    pattern = np.full((height * 3 // 2, width), 128, np.uint8)
    pattern[:height] = np.linspace(30, 200, width, dtype=np.uint8)
    pattern[height:] = np.linspace(110, 140, height // 2, dtype=np.uint8)[:, None]
    one = encoder(clock, bitrate="20M")
    packets = [one.encode(sealed(pattern, captured=index / 25))[0] for index in range(5)]
    assert np.abs(decode(packets)[-1].to_ndarray().astype(int) - pattern).max() <= 12


def test_keyframes_come_by_time_or_when_asked_for_and_never_by_themselves(clock: FakeClock) -> None:
    one = encoder(clock, keyframe_interval="1s")
    times = [0.0, 0.4, 0.8, 1.2, 1.3, 1.4, 2.1, 2.25, 5.0]
    packets = [one.encode(sealed(picture(0), captured=time), keyframe=time == 1.4)[0] for time in times]
    assert [packet.keyframe for packet in packets] == [True, False, False, True, False, True, False, False, True]
    assert [header(packet)["key"] for packet in packets] == [int(packet.keyframe) for packet in packets]


def test_a_cut_in_the_picture_makes_no_keyframe_of_its_own(clock: FakeClock) -> None:
    one = encoder(clock)
    noise = np.random.default_rng(1).integers(16, 235, (72, 64), np.uint8)
    packets = [one.encode(sealed(noise if index == 20 else picture(0), captured=index / 25)) for index in range(40)]
    assert [index for index, (packet,) in enumerate(packets) if packet.keyframe] == [0]


def test_a_viewer_may_begin_at_any_keyframe(clock: FakeClock) -> None:
    one = encoder(clock)
    packets = [one.encode(moving(index), keyframe=index == 5)[0] for index in range(12)]
    assert len(decode(packets[5:])) == 7


def test_a_new_size_starts_with_a_keyframe_of_that_size(clock: FakeClock) -> None:
    one = encoder(clock)
    one.encode(moving(0))
    (packet,) = one.encode(moving(1, width=96, height=80))
    assert (packet.width, packet.height, packet.keyframe) == (96, 80, True)
    (back,) = decode([packet])
    assert (back.width, back.height) == (96, 80)


def test_timestamps_rise_even_when_capture_times_do_not(clock: FakeClock) -> None:
    one = encoder(clock)
    packets = [one.encode(sealed(picture(0), captured=time))[0] for time in (10.0, 10.0, 9.0, 10.5)]
    assert [packet.timestamp for packet in packets] == [900_000, 900_001, 900_002, 945_000]


def test_a_packet_tells_where_it_comes_from(clock: FakeClock) -> None:
    (packet,) = encoder(clock).encode(sealed(picture(0), captured=999.5, concealed=True))
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


@pytest.mark.parametrize("fps", [5, 25, 60])
def test_the_bit_rate_is_kept_at_every_frame_rate(clock: FakeClock, fps: int) -> None:
    random = np.random.default_rng(7)
    # Smooth enough that a picture can be as small as 60 frames a second ask for.
    noise = [random.integers(100, 130, (180, 160), np.uint8) for _ in range(8)]
    one = encoder(clock, bitrate="400k")
    sizes = [len(one.encode(sealed(noise[i % 8], captured=i / fps))[0].data) for i in range(fps * 8)]
    assert sum(sizes[fps * 4 :]) * 8 / 4 == pytest.approx(400_000, rel=0.25)


def test_no_keyframe_is_so_large_that_it_blocks_a_viewer(clock: FakeClock) -> None:
    noise = np.random.default_rng(3).integers(16, 235, (360 * 3 // 2, 640), np.uint8)
    (packet,) = encoder(clock, bitrate="1M").encode(sealed(noise))
    assert len(packet.data) * 8 <= 1_000_000


def test_a_size_beyond_vp8_is_an_encode_error_with_the_cameras_name(clock: FakeClock) -> None:
    with pytest.raises(EncodeError, match="camera yard: cannot encode 18000x16 as VP8"):
        encoder(clock).encode(sealed(np.zeros((24, 18_000), np.uint8)))


def test_after_an_error_or_a_close_the_next_frame_starts_anew(clock: FakeClock) -> None:
    one = encoder(clock)
    one.encode(moving(0))
    with pytest.raises(EncodeError):
        one.encode(sealed(np.zeros((24, 18_000), np.uint8), captured=0.02))
    assert one.encode(moving(1))[0].keyframe
    one.close()
    one.close()
    assert one.encode(moving(2))[0].keyframe
