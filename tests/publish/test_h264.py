from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish import h264

# A NAL unit as an encoder writes it: emulation prevention leaves no 00 00 0x inside, and the last byte is not zero.
NAL = st.binary(min_size=1, max_size=60).map(lambda raw: b"\x41" + raw.replace(b"\x00", b"\x03") + b"\x80")


@given(st.lists(NAL, max_size=6), st.sampled_from([b"\x00\x00\x01", b"\x00\x00\x00\x01"]))
def test_split_undoes_any_start_codes(nals: list[bytes], start_code: bytes) -> None:
    assert h264.split(b"".join(start_code + nal for nal in nals)) == nals


@given(st.lists(NAL, max_size=6))
def test_split_undoes_join(nals: list[bytes]) -> None:
    assert h264.split(h264.join(nals)) == nals


@given(st.binary(max_size=200))
def test_split_survives_any_bytes(data: bytes) -> None:
    assert all(nal and not nal.endswith(b"\x00") for nal in h264.split(data))


def test_parameter_sets_are_found_at_the_head_of_a_keyframe() -> None:
    sps, pps = b"\x67\x42\xc0\x1f\xda", b"\x68\xce\x3c\x80"
    sets = h264.parameter_sets(h264.join([sps, pps, b"\x65\x88"]))
    assert sets == h264.ParameterSets(sps, pps)
    assert sets is not None
    assert sets.profile_level_id == "42c01f"
    assert sets.sprop == "Z0LAH9o=,aM48gA=="


@pytest.mark.parametrize("nals", [[], [b"\x41\x9a"], [b"\x67\x42\xc0\x1f"], [b"\x68\xce"], [b"\x67\x42", b"\x68\xce"]])
def test_half_of_the_parameter_sets_is_none(nals: list[bytes]) -> None:
    assert h264.parameter_sets(h264.join(nals)) is None


@pytest.mark.parametrize(
    ("width", "height", "fps", "bitrate", "name"),
    [
        (320, 240, 15, 500_000, "1.3"),
        (640, 480, 25, 1_000_000, "3.0"),
        (1280, 720, 30, 2_000_000, "3.1"),
        (1280, 720, 60, 2_000_000, "3.2"),
        (1920, 1080, 30, 4_000_000, "4.0"),
        (1920, 1080, 30, 30_000_000, "4.1"),
        (3840, 2160, 30, 8_000_000, "5.1"),
        (2048, 16, 1, 100_000, "3.1"),  # 128 macroblocks across need a level of at least 2048 macroblocks
    ],
)
def test_the_level_is_the_lowest_that_allows_the_stream(
    width: int, height: int, fps: float, bitrate: int, name: str
) -> None:
    assert h264.level_for(width, height, fps, bitrate, bitrate // 2).name == name


def test_a_picture_beyond_every_level_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no H\.264 level allows 20000x20000"):
        h264.level_for(20_000, 20_000, 25, 1_000_000, 500_000)
