"""H.264 over RTP (RFC 6184, packetization-mode 1) and the RTCP that goes with it (RFC 3550). Pure.

The rule: only single NAL unit packets and FU-A, the two that every receiver knows. Parameter sets travel as packets of
their own (STAP-A would save twelve bytes a keyframe and some cameras' recorders do not take it).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from faceanond.publish import h264
from faceanond.publish.packet import EncodedPacket

PAYLOAD_TYPE = 96
MAX_PAYLOAD = 1200
"""Bytes: with every header it fits the 1280 that IPv6 guarantees, so it passes tunnels and VPNs unfragmented."""
RECENT = 32
"""Access units whose payloads are kept: all readers of a camera send the same ones at about the same time, and
splitting is half of the cost of a reader."""
FU_A = 28
VERSION = 2 << 6
MARKER = 0x80
NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
GOODBYE = 203
PAYLOAD_FEEDBACK = 206
REPORT_BLOCK = 24
"""Bytes that a report has for each sender; what they say of losses is not used."""
PICTURE_LOSS, FULL_INTRA_REQUEST = 1, 4
"""Formats of payload feedback (RFC 4585, RFC 5104) by which a receiver asks for a keyframe."""


class RtcpError(ValueError):
    """Bytes that are no RTCP compound packet."""


@lru_cache(maxsize=RECENT)
def payloads(access_unit: bytes, limit: int = MAX_PAYLOAD) -> tuple[bytes, ...]:
    """The RTP payloads of one Annex B access unit, each of at most `limit` bytes."""
    result: list[bytes] = []
    for nal in h264.split(access_unit):
        if len(nal) <= limit:
            result.append(nal)
            continue
        # 5.8: the NAL unit's own header is left out; its type moves to the FU header, its other bits to the indicator.
        indicator, kind = (nal[0] & 0xE0) | FU_A, nal[0] & 0x1F
        step = limit - 2
        last = (len(nal) - 2) // step * step + 1
        for start in range(1, len(nal), step):
            flags = (0x80 if start == 1 else 0) | (0x40 if start == last else 0)
            result.append(bytes((indicator, flags | kind)) + nal[start : start + step])
    return tuple(result)


class Packetiser:
    """One RTP stream: numbers what it packs. The first sequence number and the offset of time are the caller's, random.

    One per receiver, so that two receivers cannot be told to be watching the same camera by their numbers.
    """

    def __init__(self, *, ssrc: int, sequence: int, offset: int) -> None:
        self.ssrc = ssrc
        self._sequence = sequence & 0xFFFF
        self._offset = offset
        self.packets = 0
        """RTP packets packed so far."""
        self.octets = 0
        """Payload bytes packed so far."""

    @property
    def next_sequence(self) -> int:
        """The sequence number of the next packet."""
        return self._sequence

    def rtp_time(self, timestamp: int) -> int:
        """A packet's 90 kHz timestamp as this stream's RTP timestamp."""
        return (timestamp + self._offset) & 0xFFFFFFFF

    def pack(self, packet: EncodedPacket) -> list[bytes]:
        """The access unit as RTP packets; the last one carries the marker."""
        parts = payloads(packet.data)
        time = self.rtp_time(packet.timestamp)
        result = []
        for number, part in enumerate(parts, 1):
            second = PAYLOAD_TYPE | MARKER if number == len(parts) else PAYLOAD_TYPE
            result.append(struct.pack("!BBHII", VERSION, second, self._sequence, time, self.ssrc) + part)
            self._sequence = (self._sequence + 1) & 0xFFFF
            self.octets += len(part)
        self.packets += len(parts)
        return result


def ntp_time(unix: float) -> int:
    """A wall-clock time as a 64-bit NTP timestamp."""
    return round((unix + NTP_EPOCH) * 2**32) & 0xFFFFFFFFFFFFFFFF


def sender_report(packetiser: Packetiser, *, timestamp: int, unix: float, cname: str) -> bytes:
    """A compound of sender report and source description: the picture of `timestamp` was captured at `unix`."""
    report = struct.pack(
        "!IQIII",
        packetiser.ssrc,
        ntp_time(unix),
        packetiser.rtp_time(timestamp),
        packetiser.packets & 0xFFFFFFFF,
        packetiser.octets & 0xFFFFFFFF,
    )
    return _rtcp(SENDER_REPORT, 0, report) + _description(packetiser.ssrc, cname)


def goodbye(packetiser: Packetiser, *, cname: str) -> bytes:
    """The compound that ends a stream; an empty receiver report comes first, as 6.1 demands."""
    ssrc = struct.pack("!I", packetiser.ssrc)
    return _rtcp(RECEIVER_REPORT, 0, ssrc) + _description(packetiser.ssrc, cname) + _rtcp(GOODBYE, 1, ssrc)


def _description(ssrc: int, cname: str) -> bytes:
    name = cname.encode("utf-8")[:255]
    item = struct.pack("!IBB", ssrc, 1, len(name)) + name + b"\x00"
    return _rtcp(SOURCE_DESCRIPTION, 1, item + b"\x00" * (-len(item) % 4))


def _rtcp(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", VERSION | count, kind, len(body) // 4) + body


@dataclass(frozen=True, slots=True)
class Rtcp:
    """What matters of one compound packet."""

    goodbye: bool
    keyframe: bool = False
    """The receiver asks for one: it cannot decode what it has."""


def parse_rtcp(data: bytes) -> Rtcp:
    """Reads a compound packet; kinds that are not known are skipped. Raises RtcpError for anything malformed."""
    if not data:
        raise RtcpError("an empty packet")
    bye = keyframe = False
    place = 0
    while place < len(data):
        if len(data) - place < 4:
            raise RtcpError("a header cut short")
        first, kind, words = struct.unpack_from("!BBH", data, place)
        end = place + 4 * (words + 1)
        if first & 0xC0 != VERSION or not SENDER_REPORT <= kind <= 223 or end > len(data):
            raise RtcpError("not RTCP")
        if kind in (SENDER_REPORT, RECEIVER_REPORT):
            blocks = place + (28 if kind == SENDER_REPORT else 8)
            if end - blocks < REPORT_BLOCK * (first & 0x1F):
                raise RtcpError("report blocks cut short")
        elif kind == GOODBYE:
            bye = True
        elif kind == PAYLOAD_FEEDBACK and first & 0x1F in (PICTURE_LOSS, FULL_INTRA_REQUEST):
            keyframe = True
        place = end
    return Rtcp(bye, keyframe)
