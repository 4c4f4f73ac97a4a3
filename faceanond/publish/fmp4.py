"""Encoded packets as fragmented MP4 (ISO/IEC 14496-12, -15): one initialisation segment, then fragments. Pure.

The rule: only the boxes that the standards demand. No edit list, since nothing is reordered; no times of day, no names.

The parameter sets stay inside the keyframes as well, although `avc1` asks for them in its configuration alone. The
encoder changes them whenever it corrects its rate, and a decoder that meets the new ones in front of the IDR plays on,
where a stream without them would have to end. Every player tried takes both. What no decoder takes without a new
segment is another size: whoever writes compares `width` and `height` of each packet with those of its segment, and who
wants a new segment for any change compares `h264.parameter_sets` of each keyframe, too.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from functools import lru_cache

from faceanond.publish import h264
from faceanond.publish.h264 import ParameterSets
from faceanond.publish.packet import CLOCK_RATE, EncodedPacket

RECENT = 64
"""Pictures whose samples are kept: all readers of a camera send the same ones at about the same time."""
TRACK = 1
_BRANDS = b"iso5" + struct.pack(">I", 0) + b"iso5iso6avc1mp41"
"""iso5 brought the fragments whose offsets count from their own moof, which Media Source Extensions demand."""
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_SYNC = 0x0200_0000
"""Sample flags: depends on no other."""
_NOT_SYNC = 0x0101_0000
"""Sample flags: depends on others, no place to start."""
_DEFAULT_BASE_IS_MOOF = 0x02_0000
_TRUN_FIELDS = 0x01 | 0x100 | 0x200 | 0x400
"""A data offset, and of each sample: duration, size, flags."""
_MOST_TICKS = 0xFFFF_FFFF
_HEADERS = 8 + 16 + 8 + 16 + 20 + 20 + 8
"""Bytes of a fragment in front of its first sample, but for 12 a sample: moof, mfhd, traf, tfhd, tfdt, trun, mdat."""


def codec(sets: ParameterSets) -> str:
    """What RFC 6381 calls this stream, for a media type's `codecs`: `avc1.42C01F`."""
    return f"avc1.{sets.profile_level_id.upper()}"


def init_segment(sets: ParameterSets, width: int, height: int) -> bytes:
    """ftyp and moov for one video track of `width` x `height` pixels, 90,000 ticks a second.

    Only for profiles whose configuration ends with the PPS (Baseline, Main), which is all that the encoder makes.
    """
    entry = _box(
        b"avc1",
        bytes(6),
        struct.pack(">H", 1),  # the only data reference
        bytes(16),
        struct.pack(">HHIIIH", width, height, 72 << 16, 72 << 16, 0, 1),
        bytes(32),  # the compressor's name
        struct.pack(">Hh", 24, -1),
        _configuration(sets),
    )
    table = _box(
        b"stbl",
        _full(b"stsd", 0, 0, struct.pack(">I", 1), entry),
        _full(b"stts", 0, 0, bytes(4)),
        _full(b"stsc", 0, 0, bytes(4)),
        _full(b"stsz", 0, 0, bytes(8)),
        _full(b"stco", 0, 0, bytes(4)),
    )
    references = _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1))
    information = _box(b"minf", _full(b"vmhd", 0, 1, bytes(8)), _box(b"dinf", references), table)
    media = _box(
        b"mdia",
        _full(b"mdhd", 0, 0, struct.pack(">4IHH", 0, 0, CLOCK_RATE, 0, 0x55C4, 0)),  # 0x55C4: language undetermined
        _full(b"hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"\0"),
        information,
    )
    track = _box(
        b"trak",
        # 3: enabled and part of the presentation
        _full(
            b"tkhd", 0, 3, struct.pack(">5I", 0, 0, TRACK, 0, 0), bytes(16), _MATRIX,
            struct.pack(">II", width << 16, height << 16),
        ),
        media,
    )  # fmt: skip
    movie = _box(
        b"moov",
        _full(
            b"mvhd", 0, 0, struct.pack(">5IH", 0, 0, CLOCK_RATE, 0, 0x10000, 0x100), bytes(10), _MATRIX,
            bytes(24), struct.pack(">I", TRACK + 1),
        ),
        track,
        _box(b"mvex", _full(b"trex", 0, 0, struct.pack(">5I", TRACK, 1, 0, 0, 0))),
    )  # fmt: skip
    return _box(b"ftyp", _BRANDS) + movie


def fragment(sequence: int, packets: Sequence[EncodedPacket], *, origin: int, end: int) -> bytes:
    """moof and mdat of these pictures, which follow each other; `sequence` counts the fragments, from 1.

    Its time is the first picture's after `origin`; each picture lasts until the next one, the last one until `end`
    (ticks of the same clock). Raises ValueError without packets and for times that do not rise.
    """
    if not packets:
        raise ValueError("a fragment needs a picture")
    times = [packet.timestamp for packet in packets] + [end]
    durations = [after - before for before, after in itertools.pairwise(times)]
    if times[0] < origin or not all(0 < ticks <= _MOST_TICKS for ticks in durations):
        raise ValueError("the times of a fragment must rise")
    samples = [sample(packet.data) for packet in packets]
    runs = [
        struct.pack(">III", ticks, len(data), _SYNC if packet.keyframe else _NOT_SYNC)
        for ticks, data, packet in zip(durations, samples, packets, strict=True)
    ]
    offset = _HEADERS + 12 * len(runs)
    track = _box(
        b"traf",
        _full(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF, struct.pack(">I", TRACK)),
        _full(b"tfdt", 1, 0, struct.pack(">Q", times[0] - origin)),
        _full(b"trun", 0, _TRUN_FIELDS, struct.pack(">II", len(runs), offset), *runs),
    )
    return _box(b"moof", _full(b"mfhd", 0, 0, struct.pack(">I", sequence & 0xFFFF_FFFF)), track) + _box(
        b"mdat", *samples
    )


@lru_cache(maxsize=RECENT)
def sample(access_unit: bytes) -> bytes:
    """One Annex B access unit with its NAL units' lengths (4 bytes) where the start codes were."""
    return b"".join(part for nal in h264.split(access_unit) for part in (struct.pack(">I", len(nal)), nal))


def _configuration(sets: ParameterSets) -> bytes:
    """avcC: four-byte lengths, one SPS, one PPS (14496-15, 5.3.3.1)."""
    return _box(
        b"avcC",
        b"\x01" + sets.sps[1:4] + b"\xff\xe1",
        struct.pack(">H", len(sets.sps)) + sets.sps,
        b"\x01" + struct.pack(">H", len(sets.pps)) + sets.pps,
    )


def _box(kind: bytes, *parts: bytes) -> bytes:
    size = 8 + sum(map(len, parts))
    return b"".join((struct.pack(">I", size), kind, *parts))


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)
