"""Lost reference pictures, told by the stream's own numbers."""

from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.capture.h264 import ReferenceCounter
from tests.capture.clips import write


def packets(path: Path) -> tuple[bytes, list[bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.codec_context.extradata or b"", [
            bytes(packet) for packet in container.demux(stream) if packet.size
        ]


def lost(extradata: bytes, units: list[bytes]) -> list[int]:
    counter = ReferenceCounter(extradata)
    return [index for index, unit in enumerate(units) if counter.packet(unit).lost]


KINDS = {
    "annex b": ("clip.h264", {}),
    "avcc": ("clip.mp4", {}),
    "b-frames": ("clip.mp4", {"bf": "3", "b-pyramid": "normal", "refs": "4"}),
    "high 4:4:4": ("clip.mkv", {"profile": "high444"}),
    "interlaced": ("clip.mkv", {"flags": "+ildct+ilme"}),
    "poc type 2": ("clip.mp4", {"tune": "zerolatency"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_stream_lacks_nothing(tmp_path: Path, kind: str) -> None:
    name, options = KINDS[kind]
    pixels = "yuv444p" if "444" in kind else "yuv420p"
    extradata, units = packets(write(tmp_path / name, frames=60, pixels=pixels, options={"g": "25", **options}))
    assert lost(extradata, units) == []


@pytest.mark.parametrize("name", ["clip.h264", "clip.mp4"])
@pytest.mark.parametrize("missing", [1, 7, 30])
def test_a_missing_reference_picture_is_noticed_at_the_next_one(tmp_path: Path, name: str, missing: int) -> None:
    options = {"g": "250", "bf": "0", "sc_threshold": "0"}
    extradata, units = packets(write(tmp_path / name, frames=40, options=options))
    assert lost(extradata, units[:missing] + units[missing + 1 :]) == [missing]


def test_a_missing_picture_that_nothing_refers_to_does_not_count(tmp_path: Path) -> None:
    options = {"g": "250", "bf": "2", "b-pyramid": "none", "b_strategy": "0", "sc_threshold": "0"}
    extradata, units = packets(write(tmp_path / "clip.h264", frames=40, options=options))
    disposable = next(index for index, unit in enumerate(units) if unit.find(b"\0\0\1\x01") >= 0)
    assert lost(extradata, units[:disposable] + units[disposable + 1 :]) == []


def test_an_idr_picture_makes_losses_before_it_forgotten(tmp_path: Path) -> None:
    extradata, units = packets(write(tmp_path / "clip.h264", frames=40, options={"g": "10", "bf": "0"}))
    counter = ReferenceCounter(extradata)
    for unit in units[:5]:
        counter.packet(unit)
    seen = counter.packet(units[10])
    assert seen.refresh
    assert not seen.lost
    assert not counter.packet(units[11]).lost


@given(st.binary(max_size=200), st.lists(st.binary(max_size=100), max_size=5))
def test_noise_raises_nothing(extradata: bytes, units: list[bytes]) -> None:
    counter = ReferenceCounter(extradata)
    for unit in units:
        counter.packet(b"\0\0\1\x67" + unit)
        counter.packet(b"\0\0\1\x41" + unit)
        counter.packet(unit)
