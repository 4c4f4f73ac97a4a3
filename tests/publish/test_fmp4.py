from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.clock import SystemClock
from faceanond.config.model import Encode
from faceanond.publish import fmp4, h264
from faceanond.publish.encoder import Encoder
from faceanond.publish.packet import EncodedPacket
from tests.publish.sealed import moving, packet

SETS = h264.ParameterSets(b"\x67\x42\xc0\x1f\xda", b"\x68\xce\x3c\x80")
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"mvex", b"moof", b"traf"}


@dataclass(frozen=True)
class Box:
    kind: bytes
    start: int
    """Place of the whole box in what was parsed."""
    body: bytes
    children: tuple[Box, ...]

    def find(self, *path: bytes) -> Box:
        inner: Box = self
        for kind in path:
            (inner,) = [child for child in inner.children if child.kind == kind]
        return inner


def parse(data: bytes, place: int = 0) -> tuple[Box, ...]:
    """Every box of `data`, whose sizes must fill it exactly."""
    boxes: list[Box] = []
    start = 0
    while start < len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        assert size >= 8
        assert start + size <= len(data), f"{kind!r} reaches beyond its parent"
        body = data[start + 8 : start + size]
        children = parse(body, place + start + 8) if kind in CONTAINERS else ()
        boxes.append(Box(kind, place + start, body, children))
        start += size
    return tuple(boxes)


@dataclass(frozen=True)
class Sample:
    time: int
    ticks: int
    sync: bool
    nals: tuple[bytes, ...]


def samples(data: bytes) -> tuple[int, list[Sample]]:
    """A fragment's number and pictures, found by the offsets that its boxes give, as a player finds them."""
    moof, mdat = parse(data)
    assert (moof.kind, mdat.kind) == (b"moof", b"mdat")
    (number,) = struct.unpack(">4xI", moof.find(b"mfhd").body)
    flags, track = struct.unpack(">II", moof.find(b"traf", b"tfhd").body)
    assert (flags, track) == (0x020000, 1)
    version, time = struct.unpack(">B3xQ", moof.find(b"traf", b"tfdt").body)
    assert version == 1
    run = moof.find(b"traf", b"trun").body
    _flags, count, place = struct.unpack_from(">III", run)
    found = []
    for ticks, size, kind in struct.iter_unpack(">III", run[12:]):
        assert place + size <= len(data)
        found.append(Sample(time, ticks, not kind & 0x10000, tuple(nals(data[place : place + size]))))
        time += ticks
        place += size
    assert len(found) == count
    assert place == len(data), "the pictures fill the fragment"
    return number, found


def nals(data: bytes) -> Iterator[bytes]:
    while data:
        (size,) = struct.unpack_from(">I", data)
        assert 0 < size <= len(data) - 4
        yield data[4 : 4 + size]
        data = data[4 + size :]


def encoded(count: int, *, first: int = 0, width: int = 64, height: int = 48) -> list[EncodedPacket]:
    """Pictures of the real encoder; the clock of this machine ran for 1000 s before the first."""
    encoder = Encoder("yard", Encode(), clock=SystemClock())
    frames = (moving(first + n, width=width, height=height, start=1000.0) for n in range(count))
    return [made for frame in frames for made in encoder.encode(frame)]


GAPS = st.lists(st.integers(1, 90_000 * 60), min_size=1, max_size=8)


@given(
    gaps=GAPS,
    first=st.integers(0, 2**40),
    origin=st.integers(0, 2**40),
    number=st.integers(0, 2**33),
    sizes=st.lists(st.integers(0, 5000), min_size=8, max_size=8),
    key=st.integers(0, 8),
)
def test_a_fragment_holds_every_picture_at_its_time(
    gaps: list[int], first: int, origin: int, number: int, sizes: list[int], key: int
) -> None:
    times = [origin + first]
    for gap in gaps:
        times.append(times[-1] + gap)
    packets = [
        replace(packet(n, keyframe=n == key, size=size), timestamp=time)
        for n, (time, size) in enumerate(zip(times[:-1], sizes, strict=False))
    ]
    found, pictures = samples(fmp4.fragment(number, packets, origin=origin, end=times[-1]))
    assert found == number % 2**32
    assert [picture.time for picture in pictures] == [time - origin for time in times[:-1]]
    assert sum(picture.ticks for picture in pictures) == times[-1] - times[0]
    assert [picture.sync for picture in pictures] == [p.keyframe for p in packets]
    assert [list(picture.nals) for picture in pictures] == [h264.split(p.data) for p in packets]


@pytest.mark.parametrize(
    ("packets", "origin", "end"),
    [
        ([], 0, 10),
        ([packet(2), packet(1)], 0, 90_000),
        ([packet(1), packet(1)], 0, 90_000),
        ([packet(1)], 0, 3600),
        ([packet(1)], 3601, 7200),
        ([packet(1)], 0, 2**33),
    ],
    ids=["no picture", "backwards", "twice", "no duration", "before the origin", "longer than the field"],
)
def test_times_that_do_not_rise_are_refused(packets: list[EncodedPacket], origin: int, end: int) -> None:
    with pytest.raises(ValueError, match="fragment"):
        fmp4.fragment(1, packets, origin=origin, end=end)


def test_the_first_segment_describes_the_track() -> None:
    ftyp, moov = parse(fmp4.init_segment(SETS, 1280, 720))
    assert ftyp.kind == b"ftyp"
    assert [box.kind for box in moov.children] == [b"mvhd", b"trak", b"mvex"], "no edit list, no metadata"
    assert [box.kind for box in moov.find(b"trak").children] == [b"tkhd", b"mdia"]
    assert struct.unpack_from(">I", moov.find(b"trak", b"mdia", b"mdhd").body, 12) == (90_000,)
    (entry,) = parse(moov.find(b"trak", b"mdia", b"minf", b"stbl", b"stsd").body[8:])
    assert entry.kind == b"avc1"
    assert struct.unpack_from(">HH", entry.body, 24) == (1280, 720)
    (configuration,) = parse(entry.body[78:])
    assert configuration.kind == b"avcC"
    assert configuration.body == (
        b"\x01\x42\xc0\x1f\xff\xe1" + b"\x00\x05" + SETS.sps + b"\x01" + b"\x00\x04" + SETS.pps
    )


def test_the_codec_is_named_as_players_want_it() -> None:
    assert fmp4.codec(SETS) == "avc1.42C01F"


def test_one_picture_is_turned_into_a_sample_once_for_all_readers() -> None:
    data = packet(1234).data
    assert fmp4.sample(data) is fmp4.sample(data)


def test_ffmpeg_reads_every_picture_at_its_time() -> None:
    packets = encoded(10)
    sets = h264.parameter_sets(packets[0].data)
    assert sets is not None
    origin, end = packets[0].timestamp, packets[-1].timestamp + 7200
    parts = [fmp4.init_segment(sets, 64, 48), fmp4.fragment(1, packets[:1], origin=origin, end=packets[1].timestamp)]
    parts.append(fmp4.fragment(2, packets[1:], origin=origin, end=end))
    with av.open(io.BytesIO(b"".join(parts)), format="mp4") as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.width, stream.codec_context.height) == (64, 48)
        assert stream.codec_context.profile == "Constrained Baseline"
        demuxed = [p for p in container.demux(stream) if p.size]
        assert [p.pts for p in demuxed] == [p.timestamp - origin for p in packets]
        assert [p.is_keyframe for p in demuxed] == [p.keyframe for p in packets]
        assert demuxed[-1].duration == 7200
        assert sum(len(p.decode()) for p in demuxed) == 10


def test_new_parameter_sets_in_front_of_a_keyframe_are_followed() -> None:
    """What the encoder does when it corrects its rate: another SPS, same size, without a new first segment."""
    before = encoded(3)
    slow = Encoder("yard", Encode(), clock=SystemClock(), fps=5)
    after = [made for n in range(3) for made in slow.encode(moving(3 + n, start=1000.0))]
    sets, other = h264.parameter_sets(before[0].data), h264.parameter_sets(after[0].data)
    assert sets is not None
    assert sets != other
    packets = before + after
    whole = fmp4.init_segment(sets, 64, 48) + fmp4.fragment(
        1, packets, origin=packets[0].timestamp, end=packets[-1].timestamp + 3600
    )
    with av.open(io.BytesIO(whole), format="mp4") as container:
        assert len(list(container.decode(video=0))) == 6
