"""The lines of the other side's SDP that aiortc is given: the values that may be used, and fresh lines of them. Pure.

The same strict patterns decide about a viewer's offer, what it trickles, and a WHIP server's answer.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

MID = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,32}")
ICE_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
ICE_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}")

_FINGERPRINT = re.compile(r"(?i)(sha-256|sha-384|sha-512) ([0-9a-f]{2}(?::[0-9a-f]{2}){31,63})")
_DIGEST_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_CANDIDATE = re.compile(
    r"[A-Za-z0-9+/]{1,32} 1 (?i:udp) (\d{1,10}) ([0-9A-Fa-f.:]{2,45}) (\d{1,5}) typ (host|srflx|relay)(?: .*)?"
)
_LEVEL = re.compile(r"(profile-level-id=42[0-9a-fA-F]{2})([0-9a-fA-F]{2})")


def read_fingerprint(value: str) -> str | None:
    """The value of an a=fingerprint line, in one way of writing; None when it cannot be used."""
    match = _FINGERPRINT.fullmatch(value)
    if match is None or (len(match[2]) + 1) // 3 != _DIGEST_BYTES[match[1].lower()]:
        return None
    return f"{match[1].lower()} {match[2].upper()}"


def read_candidate(value: str, *, loopback: bool = False) -> tuple[tuple[str, int], str] | None:
    """The value of an a=candidate line as (address and port, the rest of a fresh line after its foundation).

    None for what is left out on purpose, and for what nobody else must make us send anything to: a group, or our own
    loopback, unless the other side is there itself (`loopback`).
    """
    match = _CANDIDATE.fullmatch(value)
    if match is None or not 0 < int(match[3]) < 65536 or int(match[1]) >= 2**31:
        return None
    try:
        address = ipaddress.ip_address(match[2])
    except ValueError:
        return None
    if address.is_unspecified or address.is_multicast or address.is_link_local:
        return None
    if address.is_loopback and not loopback:
        return None
    rest = f"1 udp {match[1]} {address} {match[3]} typ {match[4]}"
    if match[4] != "host":
        unknown = "::" if address.version == 6 else "0.0.0.0"  # noqa: S104 (nothing is bound)
        rest += f" raddr {unknown} rport 9"
    return (str(address), int(match[3])), rest


def candidates(values: Iterable[str], *, most: int, loopback: bool = False) -> list[str]:
    """Fresh a=candidate lines: one for each address and port, at most so many."""
    found: dict[tuple[str, int], str] = {}
    for value in values:
        candidate = read_candidate(value, loopback=loopback)
        if candidate is not None and candidate[0] not in found and len(found) < most:
            found[candidate[0]] = f"a=candidate:{len(found) + 1} {candidate[1]}"
    return list(found.values())


def with_level(text: str, level: int) -> str:
    """Lines with the stream's true H.264 level (level_idc) where they declare a lower one, as aiortc's own do."""
    return _LEVEL.sub(lambda match: f"{match[1]}{max(int(match[2], 16), level):02x}", text)
