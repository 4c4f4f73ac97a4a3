"""The Transport header (RFC 2326, 12.39): which of the client's offers is taken. Pure.

The rule: UDP goes to the address that the connection comes from, whatever the header says; `destination` would make
this server a tool for flooding others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from faceanond.publish.rtsp.messages import RtspError

_PAIR = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class OverTcp:
    """Interleaved with the conversation itself, on these two channels (RTP, RTCP)."""

    channels: tuple[int, int]


@dataclass(frozen=True, slots=True)
class OverUdp:
    """Datagrams to these two ports of the client (RTP, RTCP)."""

    ports: tuple[int, int]


def choose(header: str, *, udp: bool = True) -> OverTcp | OverUdp:
    """The first offer that can be met, of TCP alone without `udp`. Raises RtspError 461 when none can."""
    for offer in header.split(","):
        protocol, *parameters = (part.strip() for part in offer.split(";"))
        names = {name.strip().lower(): value for name, _, value in (part.partition("=") for part in parameters)}
        if "multicast" in names or names.get("mode", "play").strip('"').lower() != "play":
            continue
        if protocol.upper() == "RTP/AVP/TCP":
            channels = pair(names.get("interleaved", "0-1"), 255)
            if channels is not None:
                return OverTcp(channels)
        elif udp and protocol.upper() in ("RTP/AVP", "RTP/AVP/UDP"):
            ports = pair(names.get("client_port", ""), 65535)
            if ports is not None and min(ports) > 0:
                return OverUdp(ports)
    raise RtspError(461)


def pair(text: str, highest: int) -> tuple[int, int] | None:
    """Two ports or channels, each at most `highest`; None when they cannot be used."""
    match = _PAIR.fullmatch(text.strip())
    if match is None:
        return None
    first = int(match[1])
    second = int(match[2]) if match[2] else first + 1
    return (first, second) if first != second and max(first, second) <= highest else None
