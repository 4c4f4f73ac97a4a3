"""H.264 as bytes: NAL units in Annex B, parameter sets, and the level that a stream needs. Pure.

The rule: everything here works on NAL units *without* their start codes, as RTP and SDP want them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from faceanond.annexb import nal_units

START_CODE = b"\x00\x00\x00\x01"


class NalType(IntEnum):
    """The kinds that this program meets (ITU-T H.264, table 7-1)."""

    SLICE = 1
    IDR = 5
    SEI = 6
    SPS = 7
    PPS = 8
    AUD = 9


def split(access_unit: bytes) -> list[bytes]:
    """The NAL units of an Annex B byte stream, without start codes and without trailing zeros."""
    # A NAL unit never ends with a zero byte (7.4.1), so zeros there belong to the next start code or are padding.
    return [nal for unit in nal_units(access_unit) if (nal := unit.rstrip(b"\x00"))]


def join(nals: Iterable[bytes]) -> bytes:
    """An Annex B byte stream of these NAL units."""
    return b"".join(part for nal in nals for part in (START_CODE, nal))


def nal_type(nal: bytes) -> int:
    """The five bits that say what a NAL unit is."""
    return nal[0] & 0x1F


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """What a decoder must know before the first picture: one SPS and one PPS."""

    sps: bytes
    pps: bytes

    @property
    def profile_level_id(self) -> str:
        """profile_idc, constraint flags and level_idc as six hex digits (RFC 6184, 8.1)."""
        return self.sps[1:4].hex()

    @property
    def level_idc(self) -> int:
        """Ten times the level."""
        return self.sps[3]

    @property
    def sprop(self) -> str:
        """The value of `sprop-parameter-sets` (RFC 6184, 8.1)."""
        return ",".join(base64.b64encode(nal).decode("ascii") for nal in (self.sps, self.pps))


def parameter_sets(access_unit: bytes) -> ParameterSets | None:
    """The SPS and PPS at the head of a keyframe; None when it has not both, or a stunted SPS."""
    sps = pps = None
    for nal in split(access_unit):
        if nal_type(nal) == NalType.SPS and len(nal) >= 4:
            sps = nal
        elif nal_type(nal) == NalType.PPS:
            pps = nal
    return ParameterSets(sps, pps) if sps is not None and pps is not None else None


@dataclass(frozen=True, slots=True, order=True)
class Level:
    """One row of table A-1: macroblocks a second, macroblocks a picture, kbit/s and kbit of buffer.

    Ordered by name, as the table is.
    """

    name: str
    macroblocks_per_second: int
    macroblocks: int
    kbit_per_second: int
    kbit_buffer: int


LEVELS = (
    Level("1.1", 3_000, 396, 192, 500),
    Level("1.2", 6_000, 396, 384, 1_000),
    Level("1.3", 11_880, 396, 768, 2_000),
    Level("2.0", 11_880, 396, 2_000, 2_000),
    Level("2.1", 19_800, 792, 4_000, 4_000),
    Level("2.2", 20_250, 1_620, 4_000, 4_000),
    Level("3.0", 40_500, 1_620, 10_000, 10_000),
    Level("3.1", 108_000, 3_600, 14_000, 14_000),
    Level("3.2", 216_000, 5_120, 20_000, 20_000),
    Level("4.0", 245_760, 8_192, 20_000, 25_000),
    Level("4.1", 245_760, 8_192, 50_000, 62_500),
    Level("4.2", 522_240, 8_704, 50_000, 62_500),
    Level("5.0", 589_824, 22_080, 135_000, 135_000),
    Level("5.1", 983_040, 36_864, 240_000, 240_000),
    Level("5.2", 2_073_600, 36_864, 240_000, 240_000),
    Level("6.0", 4_177_920, 139_264, 240_000, 240_000),
    Level("6.1", 8_355_840, 139_264, 480_000, 480_000),
    Level("6.2", 16_711_680, 139_264, 800_000, 800_000),
)
"""ITU-T H.264, table A-1, for the Baseline family (bit rates in units of 1000); nobody needs level 1."""


def level_for(width: int, height: int, fps: float, bitrate: int, buffer: int) -> Level:
    """The lowest level that allows such a stream: pixels, frames a second, bits a second, bits of buffer.

    Raises ValueError when even the highest does not.
    """
    across, down = (width + 15) // 16, (height + 15) // 16
    macroblocks = across * down
    for level in LEVELS:
        if (
            macroblocks <= level.macroblocks
            # No side may be longer than the square root of eight times the picture (A.3.1).
            and max(across, down) ** 2 <= 8 * level.macroblocks
            and macroblocks * fps <= level.macroblocks_per_second
            and bitrate <= level.kbit_per_second * 1000
            and buffer <= level.kbit_buffer * 1000
        ):
            return level
    raise ValueError(f"no H.264 level allows {width}x{height} at {fps:g} fps and {bitrate} bit/s")
