from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish import h264, rtp
from faceanond.publish.rtp import Packetiser, RtcpError
from tests.publish.sealed import packet

NALS = st.lists(
    st.tuples(st.sampled_from([0x67, 0x68, 0x65, 0x41, 0x01]), st.binary(max_size=100)).map(
        lambda parts: bytes([parts[0]]) + parts[1].replace(b"\x00", b"\x03") + b"\x80"
    ),
    min_size=1,
    max_size=5,
)


def depacketise(payloads: Sequence[bytes]) -> list[bytes]:
    """A receiver as RFC 6184 describes it, for single NAL unit packets and FU-A."""
    nals: list[bytes] = []
    open_unit: bytes | None = None
    for payload in payloads:
        if payload[0] & 0x1F != rtp.FU_A:
            assert open_unit is None
            nals.append(payload)
            continue
        start, end, reserved = payload[1] & 0x80, payload[1] & 0x40, payload[1] & 0x20
        assert not (start and end), "a fragment may not be first and last at once"
        assert not reserved
        assert bool(start) == (open_unit is None)
        if start:
            open_unit = bytes([payload[0] & 0xE0 | payload[1] & 0x1F])
        assert open_unit is not None
        open_unit += payload[2:]
        if end:
            nals.append(open_unit)
            open_unit = None
    assert open_unit is None
    return nals


def packetiser() -> Packetiser:
    return Packetiser(ssrc=0x11223344, sequence=0xFFFE, offset=0xFFFF0000)


@given(NALS, st.integers(3, 40))
def test_a_receiver_gets_the_same_nal_units_back(nals: list[bytes], limit: int) -> None:
    payloads = rtp.payloads(h264.join(nals), limit)
    assert depacketise(payloads) == nals
    assert all(len(payload) <= limit for payload in payloads)


@pytest.mark.parametrize("size", [1199, 1200, 1201, 1199 + 1198, 1199 + 1199, 2 * 1198 + 1, 2 * 1198 + 2])
def test_sizes_around_the_limit_lose_nothing(size: int) -> None:
    nal = b"\x65" + b"\x80" * (size - 1)
    assert depacketise(rtp.payloads(h264.join([nal]))) == [nal]


def test_the_header_is_the_one_of_rfc_3550() -> None:
    one = packetiser()
    first, second, third = one.pack(packet(3, keyframe=True))
    assert struct.unpack("!BBHII", first[:12]) == (0x80, 96, 0xFFFE, (0xFFFF0000 + 3 * 3600) & 0xFFFFFFFF, 0x11223344)
    assert [struct.unpack("!BBH", part[:4])[1:] for part in (second, third)] == [(96, 0xFFFF), (96 | 0x80, 0)]
    assert (one.next_sequence, one.packets) == (1, 3)
    assert one.octets == sum(len(part) - 12 for part in (first, second, third))


def test_all_packets_of_a_picture_share_its_timestamp() -> None:
    parts = packetiser().pack(packet(7, keyframe=True, size=5000))
    assert len({part[4:8] for part in parts}) == 1
    assert [part[1] >> 7 for part in parts] == [0] * (len(parts) - 1) + [1]


def test_a_sender_report_ties_the_picture_to_wall_clock_time() -> None:
    one = packetiser()
    one.pack(packet(0))
    report = rtp.sender_report(one, timestamp=0x10000 + 5, unix=0.5, cname="yard")
    first, kind, words, ssrc, seconds, fraction, time, packets, octets = struct.unpack("!BBHIIIIII", report[:28])
    assert (first, kind, words, ssrc) == (0x80, 200, 6, 0x11223344)
    assert (seconds, fraction, time) == (2_208_988_800, 1 << 31, 5)
    assert (packets, octets) == (one.packets, one.octets)
    assert report[28:] == b"\x81\xca\x00\x03\x11\x22\x33\x44\x01\x04yard\x00\x00"
    assert rtp.parse_rtcp(report) == rtp.Rtcp(goodbye=False)


def test_a_goodbye_is_a_whole_compound() -> None:
    data = rtp.goodbye(packetiser(), cname="x")
    assert data[1] == rtp.RECEIVER_REPORT
    assert rtp.parse_rtcp(data) == rtp.Rtcp(goodbye=True)
    assert len(data) % 4 == 0


def test_a_receiver_report_is_a_sign_of_life_and_no_more() -> None:
    block = struct.pack("!IIIIII", 0x11223344, 64 << 24 | 0xFFFFFF, 0x0001FFFE, 900, 0, 0)
    data = struct.pack("!BBHI", 0x81, 201, 7, 99) + block
    assert rtp.parse_rtcp(data) == rtp.Rtcp(goodbye=False, keyframe=False)


@pytest.mark.parametrize(("kind", "form", "wanted"), [(206, 1, True), (206, 4, True), (206, 2, False), (205, 1, False)])
def test_a_receiver_that_cannot_decode_asks_for_a_keyframe(kind: int, form: int, wanted: bool) -> None:
    data = struct.pack("!BBHIBBHII", 0x80, 201, 1, 99, 0x80 | form, kind, 2, 99, 0x11223344)
    assert rtp.parse_rtcp(data).keyframe is wanted


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", b"\x80\xc9\x00\x05", b"\x00\xc9\x00\x00", b"\x80\x60\x00\x00", b"\x82\xc9\x00\x01\x00\x00\x00\x01"],
)
def test_what_is_no_rtcp_is_refused(data: bytes) -> None:
    with pytest.raises(RtcpError):
        rtp.parse_rtcp(data)


@given(st.binary(max_size=120))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        rtp.parse_rtcp(data)
    except RtcpError:
        return
