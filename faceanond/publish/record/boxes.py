"""How much of a recording is whole: a walk over its boxes (ISO/IEC 14496-12, 4.2), for files that a crash left behind.

The rule: what counts is ftyp, moov, and then each moof whose mdat follows it to its last byte. From the first thing
that is anything else on, nothing is believed. A power cut may leave a file as long as it was and zeros in its end, so
the last fragment's pictures must look like some, too, else the one before it is the last.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faceanond.publish.packet import CLOCK_RATE

LARGEST_HEADER = 1024 * 1024
"""Bytes of a moov or moof at most; ours have some hundred."""

Read = Callable[[int, int], bytes]
"""(length, offset) to so many bytes of the file, or fewer at its end."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The part of a file that plays: its size in bytes, its length in seconds, and its fragments."""

    size: int
    seconds: float
    fragments: int


def whole(read: Read, size: int) -> Whole:
    """What is whole of a file of `size` bytes; nothing (size 0) when not even one fragment is."""
    kinds = _boxes(read, size)
    if [kind for _, _, kind in (next(kinds, _NONE), next(kinds, _NONE))] != [b"ftyp", b"moov"]:
        return Whole(0, 0.0, 0)
    fragments: list[tuple[int, int, int]] = []
    while (header := next(kinds, _NONE))[2] == b"moof" and (media := next(kinds, _NONE))[2] == b"mdat":
        fragments.append((header[0], media[0], media[1]))
    while fragments:
        start, middle, end = fragments[-1]
        until = _until(read(middle - start, start), read(end - middle, middle)[8:])
        if until is not None:
            return Whole(end, until / CLOCK_RATE, len(fragments))
        fragments.pop()
    return Whole(0, 0.0, 0)


_NONE = (0, 0, b"")


def _boxes(read: Read, size: int) -> Iterator[tuple[int, int, bytes]]:
    """(beginning, end, type) of each box that lies in the file as a whole."""
    place = 0
    while len(head := read(8, place)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if length < 8 or place + length > size or (kind in (b"moov", b"moof") and length > LARGEST_HEADER):
            return
        yield place, place + length, kind
        place += length


def _children(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, content) of the boxes in a box's content."""
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if length < 8 or place + length > len(data):
            return
        yield kind, data[place + 8 : place + length]
        place += length


def _until(moof: bytes, media: bytes) -> int | None:
    """The ticks at which a fragment ends; None when it is none of ours, or its pictures never reached the disk."""
    track = dict(_children(dict(_children(moof[8:])).get(b"traf", b"")))
    time, run = track.get(b"tfdt", b""), track.get(b"trun", b"")
    if len(time) != 12 or len(run) < 12:
        return None
    (start,) = struct.unpack_from(">Q", time, 4)
    (samples,) = struct.unpack_from(">I", run, 4)
    if len(run) != 12 + 12 * samples:
        return None
    ticks, place = int(start), 0
    for duration, length, _ in struct.iter_unpack(">III", run[12:]):
        if not _is_picture(media[place : place + length], length):
            return None
        ticks, place = ticks + duration, place + length
    return ticks if place == len(media) else None


def _is_picture(sample: bytes, length: int) -> bool:
    """Whether the lengths of its NAL units (14496-15) lead to its very end: they do not in what is all zeros."""
    place = 0
    while place + 4 < length == len(sample):
        (unit,) = struct.unpack_from(">I", sample, place)
        if unit == 0:
            return False
        place += 4 + unit
    return 0 < place == length
