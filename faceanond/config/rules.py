"""What must fit together across keys. Each rule yields the key that it concerns and the sentence about it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from faceanond.config.describe import seconds
from faceanond.config.detectors import FILE_DETECTORS
from faceanond.config.lines import Path
from faceanond.config.model import Camera, Detector, Http, Overload, RecordOptions, Rtsp, Track, WebRtc

Finding = tuple[Path, str]


def model_files(detector: Detector) -> Iterator[Finding]:
    """A path or a hash without a detector's name beside it belongs to the only detector that reads a file."""
    readers = [name for name in detector.name if name in FILE_DETECTORS]
    for key in ("model", "model_sha256"):
        value = getattr(detector, key)
        if not value or not isinstance(value, str) or len(readers) == 1:
            continue
        if readers:
            table = ", ".join(f'{name} = "..."' for name in readers)
            message = f"{' and '.join(readers)} read a file each; write {key} = {{ {table} }}"
        else:
            wanted = " or ".join(f'"{name}"' for name in FILE_DETECTORS)
            message = f"no detector in name reads a model file; add {wanted} to name, or remove {key}"
        yield ("detector", key), message


def device(detector: Detector) -> Iterator[Finding]:
    """TensorRT compiles for sizes that are known beforehand, and detectors of whole pictures take any."""
    whole = [name for name in detector.name if name in FILE_DETECTORS]
    if detector.device == "tensorrt" and whole:
        message = (
            f"{' and '.join(whole)} would be compiled anew, for minutes, for each camera's size; "
            'write device = "cuda", which needs no compiling'
        )
        yield ("detector", "device"), message


def listeners(http: Http, rtsp: Rtsp) -> Iterator[Finding]:
    """Two listeners cannot share a port of one interface."""
    if rtsp.enabled and http.listen[1] == rtsp.listen[1] != 0 and _overlap(http.listen[0], rtsp.listen[0]):
        message = f"port {rtsp.listen[1]} is taken by [http] listen already; give [rtsp] another one, such as 8554"
        yield ("rtsp", "listen"), message


def _overlap(one: str, other: str) -> bool:
    """Whether a listener on one address stands in the way of the other."""
    first, second = _interface(one), _interface(other)
    if first == second or None in (first, second):
        return True
    for every, single in ((first, second), (second, first)):
        if isinstance(every, str) or every is None or not every.is_unspecified:
            continue
        # A host name may lead to either family.
        if isinstance(single, str) or (single is not None and single.version == every.version):
            return True
    return False


def _interface(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | str | None:
    """The address; the name where it is one; None for every interface of both families."""
    if not host:
        return None
    try:
        return ipaddress.ip_address("127.0.0.1" if host.lower() == "localhost" else host)
    except ValueError:
        return host.lower()


def viewers(webrtc: WebRtc) -> Iterator[Finding]:
    """Each browser needs a UDP port of its own; a TURN server wants both halves of a login."""
    first, last = webrtc.udp_ports
    ports = last - first + 1
    if first and ports < webrtc.max_viewers:
        message = (
            f"{ports} port{'s are' if ports > 1 else ' is'} too few for max_viewers = {webrtc.max_viewers}: each "
            f'viewer takes at least one; widen the range ("{_range(first, webrtc.max_viewers)}") or lower max_viewers'
        )
        yield ("webrtc", "udp_ports"), message
    for index, server in enumerate(webrtc.ice_servers):
        here: Path = ("webrtc", "ice_servers", index)
        if (server.username is None) != (server.credential is None):
            lacking = "username" if server.username is None else "credential"
            yield here, f"username and credential belong together; {lacking} is missing"
        elif server.username is None and any(url.startswith("turn") for url in server.urls):
            yield here, "a TURN server needs username and credential"


def _range(first: int, ports: int) -> str:
    first = min(first, 65536 - ports)
    return f"{first}-{first + ports - 1}"


LEAST_TIME = 0.1
"""Seconds of `max_latency` that must be left for detecting, sealing and encoding."""


def in_time(where: Path, track: Track, overload: Overload) -> Iterator[Finding]:
    """What waits for longer than any picture may take would never be shown."""
    delay = track.look_ahead if track.enabled else 0.0
    if delay > overload.max_latency - LEAST_TIME:
        message = (
            f"{delay * 1000:g} ms of waiting leave less than {LEAST_TIME * 1000:g} ms of max_latency = "
            f"{overload.max_latency * 1000:g} ms for everything else; shorten look_ahead, or raise max_latency of "
            "[overload]"
        )
        yield (*where, "track", "look_ahead"), message


def kept(where: Path, record: RecordOptions) -> Iterator[Finding]:
    """Age counts from a file's beginning, so one that is as long as it is kept would go before its end."""
    if 0 < record.keep < 2 * record.segment:
        message = (
            f"{seconds(record.keep)} is too short for files of {seconds(record.segment)}, which go as a whole; "
            f"keep at least {seconds(2 * record.segment)}, or shorten segment"
        )
        yield (*where, "keep"), message


def login(name: str, camera: Camera) -> Iterator[Finding]:
    """Credentials need a user, and somebody who asks for them."""
    here: Path = ("cameras", name)
    if camera.password is not None and camera.username is None:
        yield (*here, "password"), "a password without a user name; add username"
    if camera.source.scheme in {"v4l2", "file", "demo"}:
        for key in ("username", "password"):
            if getattr(camera, key) is not None:
                yield (*here, key), f"a {camera.source.scheme}: source asks for no login; remove {key}"
