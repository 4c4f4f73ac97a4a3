"""Whether an H.264 reference picture was lost, told by the numbers in the stream itself (ITU-T H.264, 7.4.3).

Each slice carries `frame_num`, which may only stay or grow by one from reference picture to reference picture. Unlike
timestamps it does not care about frame rates, and a lost picture that nothing is built upon does not count. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from faceanond.annexb import nal_units

HEAD = 64
"""Bytes of a slice that are looked at: more than its header needs up to frame_num."""
_SLICE, _IDR, _SPS = 1, 5, 7
_WITH_CHROMA_FORMAT = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244})
"""Values of profile_idc whose SPS says more about samples (7.3.2.1.1)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one access unit told."""

    refresh: bool
    """It holds an IDR picture: nothing before it matters any more."""
    lost: bool
    """A reference picture is missing before it."""


@dataclass(frozen=True, slots=True)
class _Sps:
    bits: int
    separate_planes: bool
    gaps_allowed: bool


class ReferenceCounter:
    """Follows one stream. `extradata` is the decoder's configuration: Annex B, or avcC as in MP4 and Matroska."""

    def __init__(self, extradata: bytes = b"") -> None:
        self._length_size = 0
        self._sps: _Sps | None = None
        self._last: int | None = None
        if extradata[:1] == b"\x01" and len(extradata) > 6:
            self._length_size = (extradata[4] & 3) + 1
            units = _from_avcc(extradata)
        else:
            units = nal_units(extradata)
        for unit in units:
            self._learn(unit)

    def packet(self, data: bytes) -> Seen:
        """Reads one access unit. What cannot be parsed is left to the decoder, which reports it."""
        for unit in self._units(data):
            kind = unit[0] & 31 if unit else 0
            if kind == _SPS:
                self._learn(unit)
            elif kind in (_SLICE, _IDR):
                # The first slice is enough: the others repeat the number.
                try:
                    return self._slice(unit, kind)
                except IndexError:
                    break
        return Seen(refresh=False, lost=False)

    def _slice(self, unit: bytes, kind: int) -> Seen:
        reference = bool(unit[0] >> 5 & 3)
        if kind == _IDR:
            self._last = 0
            return Seen(refresh=True, lost=False)
        sps = self._sps
        if sps is None:
            return Seen(refresh=False, lost=False)
        bits = _Bits(_unescaped(unit[1:HEAD]))
        bits.ue()  # first_mb_in_slice
        bits.ue()  # slice_type
        bits.ue()  # pic_parameter_set_id
        if sps.separate_planes:
            bits.u(2)
        number = bits.u(sps.bits)
        last = self._last
        lost = last is not None and number not in (last, (last + 1) % (1 << sps.bits)) and not sps.gaps_allowed
        if reference:
            self._last = number
        elif lost:
            # Tell it once: what was lost came between the last reference picture and this one.
            self._last = (number - 1) % (1 << sps.bits)
        return Seen(refresh=False, lost=lost)

    def _learn(self, unit: bytes) -> None:
        if unit and unit[0] & 31 == _SPS:
            try:
                self._sps = _parse_sps(_unescaped(unit[1:]))
            except IndexError:
                self._sps = None

    def _units(self, data: bytes) -> Iterator[bytes]:
        return _lengths(data, self._length_size) if self._length_size else nal_units(data)


def _lengths(data: bytes, size: int) -> Iterator[bytes]:
    at = 0
    while at + size < len(data):
        length = int.from_bytes(data[at : at + size], "big")
        yield data[at + size : at + size + length]
        at += size + length


def _from_avcc(extradata: bytes) -> Iterator[bytes]:
    at = 6
    for _ in range(extradata[5] & 31):
        length = int.from_bytes(extradata[at : at + 2], "big")
        yield extradata[at + 2 : at + 2 + length]
        at += 2 + length


def _unescaped(data: bytes) -> bytes:
    """Without emulation prevention bytes (7.4.1)."""
    return data.replace(b"\0\0\3", b"\0\0")


class _Bits:
    """Reads bits from the front; IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def u(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | (self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1)
            self._at += 1
        return value

    def ue(self) -> int:
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise IndexError("no such Exp-Golomb code")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _parse_sps(data: bytes) -> _Sps:
    bits = _Bits(data)
    profile = bits.u(8)
    bits.u(16)  # constraints and level
    bits.ue()  # seq_parameter_set_id
    separate = False
    if profile in _WITH_CHROMA_FORMAT:
        chroma = bits.ue()
        if chroma == 3:
            separate = bool(bits.u(1))
        bits.ue()  # bit depths
        bits.ue()
        bits.u(1)
        if bits.u(1):
            for index in range(8 if chroma != 3 else 12):
                if bits.u(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    number_bits = bits.ue() + 4
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1)
        bits.se()
        bits.se()
        for _ in range(min(bits.ue(), 255)):
            bits.se()
    bits.ue()  # max_num_ref_frames
    return _Sps(min(number_bits, 16), separate, gaps_allowed=bool(bits.u(1)))


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se() + 256) % 256
        last = following or last
