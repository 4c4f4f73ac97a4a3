"""Where an address leads to, as far as its text alone says. Nothing is looked up here."""

from __future__ import annotations

import ipaddress
import socket

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def literal(host: str) -> IPAddress | None:
    """The address that a host is in itself; None for a name.

    IPv4 is read as `getaddrinfo` reads it, so "127.1" is 127.0.0.1 here as it is for the connection.
    """
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        # It would pass over whatever follows a space.
        return None if any(map(str.isspace, host)) else ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def distance(address: str) -> int:
    """From where an IP address can be reached: this machine (0), its link (1), its network (2), everywhere (3)."""
    parsed = _unmapped(ipaddress.ip_address(address.partition("%")[0]))
    if parsed.is_loopback or parsed.is_unspecified:
        return 0
    if parsed.is_link_local:
        return 1
    return 3 if parsed.is_global else 2


def is_loopback(host: str) -> bool:
    """Whether a listener on that host is for this machine alone."""
    address = literal(host)
    return _unmapped(address).is_loopback if address is not None else _name(host) == "localhost"


def is_this_machine(host: str) -> bool:
    """Whether a connection to that host stays on this machine. A name that is not known for that may lead anywhere."""
    address = literal(host)
    if address is not None:
        return distance(str(address)) == 0
    return _name(host) in {"localhost", _name(socket.gethostname())}


def _unmapped(address: IPAddress) -> IPAddress:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _name(host: str) -> str:
    return host.lower().removesuffix(".")
