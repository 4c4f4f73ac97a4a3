"""What must fit together across keys. Each rule yields the key that it concerns and the sentence about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from faceanond.addresses import IPAddress, literal
from faceanond.config.describe import seconds
from faceanond.config.detectors import FILE_DETECTORS
from faceanond.config.inherit import Written
from faceanond.config.lines import Path, ascii_quoted
from faceanond.config.model import Camera, Detector, Http, Overload, Push, Rtsp, Track, Viewer, WebRtc
from faceanond.config.record import RecordOptions
from faceanond.config.types import CAMERA_PLACE, push_address

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


def listeners(http: Http, rtsp: Rtsp, written: Written) -> Iterator[Finding]:
    """Two listeners cannot share a port of one interface."""
    places: list[tuple[Path, tuple[str, int]]] = [(("http", "listen"), http.listen)]
    if rtsp.enabled:
        places.append((("rtsp", "listen"), rtsp.listen))
        if rtsp.tls_listen is not None:
            places.append((("rtsp", "tls_listen"), rtsp.tls_listen))
    for number, (path, (host, port)) in enumerate(places):
        for other, (taken, where) in places[:number]:
            if where == port != 0 and _overlap(taken, host):
                # A default that is in the way is not what somebody has got wrong.
                wrong = written.blame(path, other)
                right = other if wrong == path else path
                table, key = wrong
                advice = f"give [{table}] {key} another one"
                if (usual := _USUAL[wrong]) not in {place[1] for _, place in places}:
                    advice += f", such as {usual}"
                yield wrong, f"port {port} is taken by [{right[0]}] {right[1]} already; {advice}"


_USUAL: Mapping[Path, int] = {("http", "listen"): 8080, ("rtsp", "listen"): 8554, ("rtsp", "tls_listen"): 8322}


def https(http: Http) -> Iterator[Finding]:
    """A certificate is of no use without its key, nor the other way round."""
    for key, other in (("certificate", "key"), ("key", "certificate")):
        if getattr(http, key) and not getattr(http, other):
            yield ("http", key), f'it needs {other} beside it; add {other} = "/path/to/file.pem"'


def certificate(rtsp: Rtsp) -> Iterator[Finding]:
    """RTSPS needs a certificate and its key, and those need RTSPS."""
    for key, what in (("certificate", "a certificate"), ("key", "the certificate's private key")):
        if rtsp.tls_listen is not None and not getattr(rtsp, key):
            yield ("rtsp", "tls_listen"), f'tls_listen needs {what}; add {key} = "/path/to/file.pem"'
        elif rtsp.tls_listen is None and getattr(rtsp, key):
            yield ("rtsp", key), f'nothing uses it without tls_listen; add tls_listen = ":8322", or remove {key}'


def media_port(http: Http, rtsp: Rtsp, webrtc: WebRtc) -> Iterator[Finding]:
    """The port for media over TCP is opened on every offered address, so it cannot be that of another listener."""
    others = [("http", http.listen[1])] + ([("rtsp", rtsp.listen[1])] if rtsp.enabled else [])
    for table, port in others:
        if webrtc.tcp_port == port != 0:
            yield ("webrtc", "tcp_port"), f"port {port} is taken by [{table}] listen already; choose another one"


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


def _interface(host: str) -> IPAddress | str | None:
    """The address; the name where it is one; None for every interface of both families."""
    if not host:
        return None
    name = host.lower()
    return literal("127.0.0.1" if name == "localhost" else name) or name


def viewers(webrtc: WebRtc) -> Iterator[Finding]:
    """Each browser takes a port of a range of its own; a TURN server wants both halves of a login."""
    first, last = webrtc.udp_ports
    ports = last - first + 1
    if 1 < ports < webrtc.max_viewers:
        message = (
            f"{ports} ports are too few for max_viewers = {webrtc.max_viewers}: each viewer takes one; widen the range "
            f'("{_range(first, webrtc.max_viewers)}"), lower max_viewers, or write a single port, which serves all '
            f'("{first}")'
        )
        yield ("webrtc", "udp_ports"), message
    for index, server in enumerate(webrtc.ice_servers):
        here: Path = ("webrtc", "ice_servers", index)
        if (server.username is None) != (server.credential is None):
            given, lacking = ("credential", "username") if server.username is None else ("username", "credential")
            yield (*here, given), f"username and credential belong together; {lacking} is missing"
        elif server.username is None and any(url.startswith("turn") for url in server.urls):
            yield (*here, "urls"), "a TURN server needs username and credential"


def _range(first: int, ports: int) -> str:
    first = min(first, 65536 - ports)
    return f"{first}-{first + ports - 1}"


LEAST_TIME = 0.1
"""Seconds of `max_latency` that must be left for detecting, sealing and encoding."""


def in_time(where: Path, track: Track, overload: Overload, written: Written) -> Iterator[Finding]:
    """What waits for longer than any picture may take would never be shown."""
    delay = track.look_ahead if track.enabled else 0.0
    if delay > overload.max_latency - LEAST_TIME:
        message = (
            f"{delay * 1000:g} ms of waiting leave less than {LEAST_TIME * 1000:g} ms of max_latency = "
            f"{overload.max_latency * 1000:g} ms for everything else; shorten look_ahead, or raise max_latency of "
            "[overload]"
        )
        yield written.blame((*where, "track", "look_ahead"), ("overload", "max_latency")), message


def recordings(cameras: Mapping[str, Camera], fleet: object, written: Written) -> Iterator[Finding]:
    """Age counts from a file's beginning, so one that is as long as it is kept would go before its end.

    `fleet` is the fleet's table, if it is right; it matters where no camera takes its values.
    """
    wrong = fleet if isinstance(fleet, RecordOptions) and _is_short(fleet) else None
    common: list[RecordOptions] = [wrong] if wrong is not None and not cameras else []
    for name, record in ((name, camera.record) for name, camera in cameras.items() if _is_short(camera.record)):
        path = written.blame(("cameras", name, "record", "keep"), ("cameras", name, "record", "segment"))
        if path[0] == "record" or (wrong is not None and path[-1] == "segment"):
            common.append(record)
        else:
            yield path, _kept(record)
    if common:
        # Whoever mends it for the longest files has mended it for all.
        longest = max(common, key=lambda record: record.segment)
        yield written.blame(("record", "keep"), ("record", "segment")), _kept(longest)


def _is_short(record: RecordOptions) -> bool:
    return 0 < record.keep < 2 * record.segment


def _kept(record: RecordOptions) -> str:
    return (
        f"keep = {seconds(record.keep)} is too short for files of {seconds(record.segment)}, which go as a whole; "
        f"keep at least {seconds(2 * record.segment)}, or shorten segment"
    )


def login(name: str, camera: Camera) -> Iterator[Finding]:
    """Credentials need a user, and somebody who asks for them."""
    here: Path = ("cameras", name)
    if camera.password is not None and camera.username is None:
        yield (*here, "password"), "a password without a user name; add username"
    if camera.source.scheme in {"v4l2", "file", "demo"}:
        for key in ("username", "password"):
            if getattr(camera, key) is not None:
                yield (*here, key), f"a {camera.source.scheme}: source asks for no login; remove {key}"


def viewer(name: str, viewer: Viewer, cameras: object) -> Iterator[Finding]:
    """A viewer must be able to prove who it is, and its cameras should be there: a name that matches none is a slip,
    and would show later as a picture that is missing."""
    here: Path = ("viewers", name)
    if viewer.password is None and viewer.token is None:
        yield here, "neither a password nor a token, so nobody could log in; add one of them, or remove the table"
    known = list(cameras) if isinstance(cameras, Mapping) else []
    for index, pattern in enumerate(viewer.cameras):
        if pattern != "*" and known and not any(fnmatchcase(camera, pattern) for camera in known):
            yield (*here, "cameras", index), f'no camera is called {ascii_quoted(pattern[:63])}; write its name, or "*"'


def tokens(viewers: Mapping[str, Viewer]) -> Iterator[Finding]:
    """A token alone tells who comes, so no two viewers may have the same one."""
    owner: dict[str, str] = {}
    for name, viewer in viewers.items():
        if viewer.token is None:
            continue
        first = owner.setdefault(viewer.token.get_secret_value(), name)
        if first != name:
            yield ("viewers", name, "token"), f"the same token as that of {first}; give each viewer its own"


def pushes(cameras: Mapping[str, Camera], written: Written) -> Iterator[Finding]:
    """What is pushed must have a place of its own, and a login of the kind that its server knows."""
    pushed = {name: camera.push for name, camera in cameras.items() if camera.enabled and camera.push.url}
    places: dict[str, dict[Path, list[str]]] = {}
    inherited: dict[tuple[str, str], list[str]] = {}
    for name, push in pushed.items():
        here: Path = ("cameras", name, "push")
        users = places.setdefault(push_address(push.url, name), {})
        users.setdefault(written.origin((*here, "url")), []).append(name)
        for key, message in _push_login(push):
            if written.has((*here, key)):
                yield (*here, key), message
            else:
                inherited.setdefault((key, message), []).append(name)
    for users in places.values():
        if sum(map(len, users.values())) > 1:
            yield from _one_place(users)
    for (key, message), names in inherited.items():
        yield from _inherited_login(key, message, names, pushed, written)


def _inherited_login(
    key: str, message: str, names: Sequence[str], pushed: Iterable[str], written: Written
) -> Iterator[Finding]:
    """What [push] gives to all and does not suit the cameras in `names`: its own mistake, or only theirs."""
    own: dict[str, Path] = {}
    for name in names:
        path = written.blame(("cameras", name, "push", "url"), ("cameras", name, "push", "username"))
        if path[0] == "cameras":
            own[name] = path
    others = set(pushed).difference(names)
    suits_others = any(not written.has(("cameras", name, "push", key)) for name in others)
    if len(own) < len(names) or not suits_others:
        yield ("push", key), message
        return
    nothing = "tcp" if key == "transport" else ""
    for path in own.values():
        yield path, f'{message}; {key} is inherited from [push], and {key} = "{nothing}" in this table takes it away'


def _one_place(users: Mapping[Path, Sequence[str]]) -> Iterator[Finding]:
    """`users` are the cameras that are pushed to one and the same place, by where their URL was written."""
    names = [name for some in users.values() for name in some]
    shown = names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"]
    message = (
        f"{', '.join(shown[:-1])} and {shown[-1]} would be pushed to the same place; write {CAMERA_PLACE} where the "
        f'camera\'s name belongs, such as "rtsp://media.example.org:8554/{CAMERA_PLACE}"'
    )
    for number, (path, some) in enumerate(users.items()):
        # The first may keep its place, if it is a single camera's.
        if number or len(some) > 1:
            yield path, message


def _push_login(push: Push) -> Iterator[tuple[str, str]]:
    scheme = push.url.partition(":")[0].lower()
    if scheme in {"rtsp", "rtsps"}:
        if push.token.get_secret_value():
            yield "token", "an RTSP server asks for no token; give username and password, or remove token"
        if push.password.get_secret_value() and not push.username:
            yield "password", "a password without a user name; add username"
    else:
        for key in ("username", "password"):
            value = getattr(push, key)
            if value if isinstance(value, str) else value.get_secret_value():
                yield key, f"a WHIP server asks for a token; give token, or remove {key}"
    if scheme == "rtsps" and push.transport == "udp":
        yield "transport", "over UDP the pictures would not be encrypted; remove transport, or write rtsp:"
