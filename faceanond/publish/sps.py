"""The sequence parameter set of an H.264 stream (ITU-T H.264, 7.3.2.1 and annex E), as far as it is touched. Pure.

libx264 in its constant-rate mode declares a fixed frame rate. Ours is not: cameras jitter, pause and change their
rate, and players that trust the flag show pictures by the declared rate instead of their timestamps.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(rb"\x00\x00\x03(?=[\x00-\x03]|\Z)")
_TO_ESCAPE = re.compile(rb"\x00\x00(?=[\x00-\x03])")
EXTENDED_SAR = 255


class _Bits:
    """Reads a payload without emulation prevention, most significant bit first. Raises IndexError at its end."""

    def __init__(self, payload: bytearray) -> None:
        self._payload = payload
        self.place = 0

    def take(self, count: int = 1) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._payload[self.place >> 3] >> (7 - self.place % 8) & 1
            self.place += 1
        return value

    def golomb(self) -> int:
        """An unsigned Exp-Golomb code (9.1)."""
        zeros = 0
        while not self.take():
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)


def without_fixed_rate(sps: bytes) -> bytes:
    """The same parameter set, a NAL unit of the Baseline family, whose declared frame rate is nominal, not fixed."""
    payload = bytearray(_ESCAPED.sub(b"\0\0", sps[1:]))
    bits = _Bits(payload)
    bits.take(3 * 8)  # profile, constraints, level
    bits.golomb()  # seq_parameter_set_id
    bits.golomb()  # log2_max_frame_num_minus4
    order = bits.golomb()
    if order == 0:
        bits.golomb()  # log2_max_pic_order_cnt_lsb_minus4
    elif order == 1:
        raise ValueError("a picture order of type 1 is not ours")
    bits.golomb()  # max_num_ref_frames
    bits.take()  # gaps_in_frame_num_value_allowed_flag
    bits.golomb()  # pic_width_in_mbs_minus1
    bits.golomb()  # pic_height_in_map_units_minus1
    if not bits.take():  # frame_mbs_only_flag
        bits.take()
    bits.take()  # direct_8x8_inference_flag
    if bits.take():  # frame_cropping_flag
        for _ in range(4):
            bits.golomb()
    if not bits.take():  # vui_parameters_present_flag
        return sps
    if bits.take() and bits.take(8) == EXTENDED_SAR:  # aspect_ratio_info_present_flag
        bits.take(32)
    if bits.take():  # overscan_info_present_flag
        bits.take()
    if bits.take():  # video_signal_type_present_flag
        bits.take(4)
        if bits.take():  # colour_description_present_flag
            bits.take(24)
    if bits.take():  # chroma_loc_info_present_flag
        bits.golomb()
        bits.golomb()
    if not bits.take():  # timing_info_present_flag
        return sps
    bits.take(64)
    payload[bits.place >> 3] &= ~(0x80 >> bits.place % 8)
    return sps[:1] + _TO_ESCAPE.sub(b"\0\0\3", bytes(payload))
