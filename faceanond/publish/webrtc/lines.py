"""The lines of the other side's SDP that aiortc is given: the values that may be used, and fresh lines of them. Pure.

The same strict patterns decide about a viewer's offer, what it trickles, and a WHIP server's answer.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable

MOST_PER_ADDRESS = 4
"""Candidates of one address: a browser has one for each of its interfaces and media sections, and those behind one NAT
come back with one outside address. Each costs checks, and an address may belong to somebody who knows of nothing."""

MID = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,32}")
ICE_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
ICE_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

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

    None for what is left out on purpose (TCP, and names, which nobody must make us look up), and for addresses that
    nobody must make us send to; our own loopback is one, unless the other side is there itself (`loopback`).
    """
    match = _CANDIDATE.fullmatch(value)
    if match is None or not 0 < int(match[3]) < 65536 or int(match[1]) >= 2**31:
        return None
    try:
        address = ipaddress.ip_address(match[2])
    except ValueError:
        return None
    if not _is_one_host(address, loopback=loopback):
        return None
    rest = f"1 udp {match[1]} {address} {match[3]} typ {match[4]}"
    if match[4] != "host":
        unknown = "::" if address.version == 6 else "0.0.0.0"  # noqa: S104 (nothing is bound)
        rest += f" raddr {unknown} rport 9"
    return (str(address), int(match[3])), rest


class Candidates:
    """Those of one session: one for each address and port, at most `most`, and MOST_PER_ADDRESS of one address."""

    def __init__(self, *, most: int, loopback: bool = False) -> None:
        self._most = most
        self._loopback = loopback
        self._known: set[tuple[str, int]] = set()
        self._of: Counter[str] = Counter()
        self.ignored = 0
        """Those that were usable, but too many."""

    def fresh(self, values: Iterable[str]) -> list[str]:
        """What is new among the values of a=candidate lines and may be checked, as values of lines of our own."""
        found: list[str] = []
        for value in values:
            candidate = read_candidate(value, loopback=self._loopback)
            if candidate is None or candidate[0] in self._known:
                continue
            place, rest = candidate
            if len(self._known) >= self._most or self._of[place[0]] >= MOST_PER_ADDRESS:
                self.ignored += 1
                continue
            self._known.add(place)
            self._of[place[0]] += 1
            found.append(f"{len(self._known)} {rest}")
        return found


def _is_one_host(address: Address, *, loopback: bool) -> bool:
    """Whether an address may belong to one other machine, or with `loopback` to this one: no group, no broadcast. The
    kernel itself sends nothing to the broadcast addresses of our own networks.
    """
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return False  # no candidate is written so (RFC 8445, 5.1.1.1), and Pythons differ in what they say of it
    if address.is_loopback:
        return loopback
    if address.version == 4 and address.packed[0] == 0:
        return False  # "this network", which leads to ourselves
    return not (address.is_unspecified or address.is_multicast or address.is_link_local or address.is_reserved)


def with_level(text: str, level: int) -> str:
    """Lines with the stream's true H.264 level (level_idc) where they declare a lower one, as aiortc's own do."""
    return _LEVEL.sub(lambda match: f"{match[1]}{max(int(match[2], 16), level):02x}", text)
