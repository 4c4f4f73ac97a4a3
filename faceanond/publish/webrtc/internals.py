"""What is used here of aiortc and aioice beyond what they promise, in one list, and the check that it is still there.

They may rename any of it in any version, and nothing would fail but the pictures. So each start looks first, and tells
what is different. Both are bounded to the minor versions of VERSIONS in pyproject.toml; whoever raises those bounds
runs the tests, mends what they name, and reads what else has changed around the places of this list.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import aioice
import aiortc
from aioice.ice import StunProtocol
from aiortc import (
    RTCCertificate,
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpSender,
)
from aiortc.rtcdtlstransport import RtpRouter

from faceanond.errors import UnavailableError

VERSIONS = {"aiortc": "1.16", "aioice": "0.13"}
"""What this was written for, by library."""


@dataclass(frozen=True, slots=True)
class Method:
    """One that is called, replaced or overridden here, with its parameters after `self`."""

    owner: type
    name: str
    parameters: tuple[str, ...]
    awaited: bool = False
    called: bool = False
    """Whether it is called and nothing else: then it may take more, if it need not be given that."""


METHODS = (
    Method(RTCRtpSender, "_run_rtp", ("codec",), awaited=True),
    Method(RTCRtpSender, "_retransmit", ("sequence_number",), awaited=True),
    Method(RTCRtpSender, "_handle_rtcp_packet", ("packet",), awaited=True),
    Method(RTCRtpSender, "_send_keyframe", ()),
    Method(RTCDtlsTransport, "_handle_rtcp_data", ("data",), awaited=True),
    Method(RTCDtlsTransport, "_handle_rtp_data", ("data", "arrival_time_ms"), awaited=True),
    Method(RtpRouter, "register_sender", ("sender", "ssrc"), called=True),
    Method(RTCCertificate, "__init__", ("key", "cert"), called=True),
    Method(RTCCertificate, "_create_ssl_context", ("srtp_profiles",)),
    Method(aioice.Connection, "get_component_candidates", ("component", "addresses", "timeout"), awaited=True),
    Method(aioice.Connection, "request_received", ("message", "addr", "protocol")),
    Method(aioice.Connection, "data_received", ("data", "component")),
    Method(aioice.Connection, "check_start", ("pair",), awaited=True),
    Method(aioice.Connection, "check_state", ("pair", "state"), called=True),
    Method(aioice.Connection, "check_complete", ("pair",), called=True),
    Method(StunProtocol, "datagram_received", ("data", "addr")),
    Method(StunProtocol, "request", ("request", "addr", "integrity_key", "retransmissions"), awaited=True),
    Method(StunProtocol, "send_stun", ("message", "addr"), called=True),
)

ATTRIBUTES = {
    "RTCPeerConnection": ("_RTCPeerConnection__certificates",),
    "RTCCertificate": ("_key", "_cert"),
    "RTCRtpSender": (
        *("_ssrc", "_rtx_ssrc"),
        *("_RTCRtpSender__rtp_started", "_RTCRtpSender__rtp_exited", "_RTCRtpSender__track"),
        *("_RTCRtpSender__rtx_payload_type", "_RTCRtpSender__ntp_timestamp", "_RTCRtpSender__rtp_timestamp"),
        *("_RTCRtpSender__octet_count", "_RTCRtpSender__packet_count"),
    ),
    "RTCDtlsTransport": ("_state", "_tx_srtp", "_rtp_router"),
    "RTCIceTransport": ("_connection", "_recv", "_send"),
    "RTCIceGatherer": ("_connection",),
    "Connection": ("_protocols", "_remote_candidates", "_check_list", "_queue", "_closing"),
    "Candidate": ("_network_host",),
}
"""By class: what its objects have from the beginning."""


async def verify() -> None:
    """Raises UnavailableError, with everything that is different, when the libraries are not those of the list."""
    differences = await changed()
    if differences:
        wanted = " and ".join(f"{library} {known}" for library, known in VERSIONS.items())
        raise UnavailableError(f"WebRTC cannot be served with these libraries: {'; '.join(differences)}; use {wanted}")


async def changed() -> list[str]:
    """What of the list is gone or different, in words."""
    return [*_changed_methods(), *await _missing_attributes()]


def _changed_methods() -> Iterator[str]:
    for method in METHODS:
        found = getattr(method.owner, method.name, None)
        place = f"{_installed(method.owner)} changed {method.owner.__name__}.{method.name}"
        if found is None:
            yield f"{place}: it is gone"
            continue
        parameters = _parameters(found, wanted=method.parameters if method.called else None)
        if parameters != method.parameters:
            yield f"{place}: it takes ({', '.join(parameters)}), not ({', '.join(method.parameters)})"
        if inspect.iscoroutinefunction(found) is not method.awaited:
            yield f"{place}: it is {'no' if method.awaited else 'a'} coroutine"


def _parameters(found: Callable[..., object], *, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The names after `self`; when some are `wanted`, without others that may be left out."""
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return tuple(
        name
        for name, one in tuple(inspect.signature(found).parameters.items())[1:]
        if wanted is None or name in wanted or (one.default is inspect.Parameter.empty and one.kind not in optional)
    )


async def _missing_attributes() -> list[str]:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        sender = connection.addTransceiver("video", direction="sendonly").sender
        ice = sender.transport.transport
        made = (
            *(connection, RTCCertificate.generateCertificate(), sender, sender.transport, ice, ice.iceGatherer),
            aioice.Connection(ice_controlling=False),
            aioice.Candidate("1", 1, "udp", 1, "192.0.2.1", 9, "host"),
        )
        return [
            f"{_installed(type(one))} changed {type(one).__name__}: its {name} is gone"
            for one in made
            for name in ATTRIBUTES[type(one).__name__]
            if not hasattr(one, name)
        ]
    finally:
        await connection.close()


def _installed(owner: type) -> str:
    library = aiortc if owner.__module__.startswith("aiortc.") else aioice
    return f"{library.__name__} {library.__version__}"
