"""What `faceanond check` says of a configuration that loads: things that are missing on this machine, and risks.

These depend on the machine and the moment, so they are no errors of the file: a camera may be plugged in later.
"""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from faceanond import tls
from faceanond.addresses import is_loopback, is_this_machine
from faceanond.config import exposure, syntax
from faceanond.config.inherit import Written
from faceanond.config.lines import Path, dotted
from faceanond.config.load import read_text
from faceanond.config.model import Config, Push, WebRtc
from faceanond.config.overrides import Override, OverrideError, apply, read
from faceanond.config.places import Place, Places
from faceanond.errors import ConfigError, Problem


def findings(config: Config, path: FilePath, overrides: Sequence[str] = ()) -> list[Problem]:
    """What cannot work here and now: files and devices that do not exist. Disabled cameras are left out.

    `path` and `overrides` are what `config` was loaded from. Looks at the disk, so it blocks.
    """
    reading, given = _reading(path), _given(overrides)
    return _placed(_missing(config), _places(path, reading, given), _written(reading, given))


def warnings(config: Config, path: FilePath, overrides: Sequence[str] = ()) -> list[Problem]:
    """What works and may not be meant, such as open listeners, secrets that others can read, or no cameras."""
    reading, given = _reading(path), _given(overrides)
    written = _written(reading, given)
    found = chain(_risks(config, written), exposure.guessable(config), exposure.readable(reading.data, path, given))
    return _placed(found, _places(path, reading, given), written)


def _missing(config: Config) -> Iterator[tuple[Path, str]]:
    for name, camera in config.cameras.items():
        where: Path = ("cameras", name, "source")
        if camera.enabled and camera.source.scheme in {"file", "v4l2"}:
            reason = _unusable(FilePath(camera.source.location), device=camera.source.scheme == "v4l2")
            if reason:
                yield where, reason
    if config.http.certificate:
        for key, reason in tls.problems(FilePath(config.http.certificate), FilePath(config.http.key)):
            yield ("http", key), reason
    if config.rtsp.enabled and config.rtsp.tls_listen is not None:
        for key, reason in tls.problems(FilePath(config.rtsp.certificate), FilePath(config.rtsp.key)):
            yield ("rtsp", key), reason


def _unusable(path: FilePath, *, device: bool) -> str | None:
    """Why that file or device cannot be a source; None when it can."""
    what = "device" if device else "file"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"the {what} {path} does not exist"
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "bad path"
        return f"the {what} {path} cannot be used: {reason}"
    if device and not stat.S_ISCHR(mode):
        return f"{path} is not a device"
    if not device and stat.S_ISDIR(mode):
        return f"{path} is a directory; expected a video file"
    return None


def _risks(config: Config, written: Written) -> Iterator[tuple[Path, str]]:
    if not config.cameras:
        yield ("cameras",), 'there are no cameras; add [cameras.NAME] with source = "..."'
    elif not any(camera.enabled for camera in config.cameras.values()):
        yield ("cameras",), "every camera is disabled"
    yield from _listener_risks(config)
    yield from _network(config.webrtc)
    for name, camera in config.cameras.items():
        here: Path = ("cameras", name)
        if camera.username is not None and camera.password is None:
            yield (*here, "username"), "a user name without a password; the camera will be asked with an empty one"
        if camera.enabled and camera.record.enabled and not camera.record.keep:
            yield (*here, "record", "keep"), "recordings have no age limit; they are kept until their space is needed"
        if not camera.tls_verify and camera.source.scheme in {"rtsps", "https"}:
            message = "the camera's certificate is not checked: anyone in between can read the password"
            yield (*here, "tls_verify"), message
        yield from _push_risks((*here, "push"), camera.push, written)
    yield from _push_risks(("push",), config.push, written)
    yield from _shares(config)


def _listener_risks(config: Config) -> Iterator[tuple[Path, str]]:
    if not config.viewers and not is_loopback(config.http.listen[0]):
        yield ("http", "listen"), _exposed(config.http.listen, "the pages, the streams and the metrics")
    if config.http.certificate:
        for key, reason in tls.warnings(FilePath(config.http.certificate), FilePath(config.http.key)):
            yield ("http", key), reason
    elif config.viewers and not is_loopback(config.http.listen[0]):
        message = "passwords and tokens travel as they are, and anyone in between can read them"
        yield ("http", "listen"), f"{message}; add certificate and key, or put a proxy that speaks HTTPS in front"
    if not config.viewers and config.rtsp.enabled and not is_loopback(config.rtsp.listen[0]):
        yield ("rtsp", "listen"), _exposed(config.rtsp.listen, "the streams")
    if config.rtsp.enabled and config.rtsp.tls_listen is not None:
        if not config.viewers and not is_loopback(config.rtsp.tls_listen[0]):
            yield ("rtsp", "tls_listen"), _exposed(config.rtsp.tls_listen, "the streams")
        for key, reason in tls.warnings(FilePath(config.rtsp.certificate), FilePath(config.rtsp.key)):
            yield ("rtsp", key), reason


def _push_risks(here: Path, push: Push, written: Written) -> Iterator[tuple[Path, str]]:
    parts = urlsplit(push.url)
    scheme, elsewhere = parts.scheme, not is_this_machine(parts.hostname or "")
    if scheme == "http" and elsewhere and push.token.get_secret_value():
        yield (*here, "url"), "anyone in between can read the token; write https:, or keep to a network of your own"
    if scheme == "rtsp" and elsewhere and push.allow_basic and push.password.get_secret_value():
        message = "anyone in between can read the password when the server asks for it by Basic"
        yield (*here, "allow_basic"), f"{message}; write rtsps:, or let the server offer Digest and remove allow_basic"
    if not push.tls_verify and scheme in {"rtsps", "https"}:
        login = " and ask for the login" if push.username or push.token.get_secret_value() else ""
        message = f"the media server's certificate is not checked: anyone in between can be it{login}"
        yield (*here, "tls_verify"), message
    if push.username and not push.password.get_secret_value() and scheme:
        message = "a user name without a password; the media server will be given an empty one"
        yield written.blame((*here, "username"), (*here, "password")), message


def _shares(config: Config) -> Iterator[tuple[Path, str]]:
    """What a viewer may watch at a time, against what there is to be watched."""
    rtsp = config.rtsp.max_sessions if config.rtsp.enabled else 0
    places = config.webrtc.max_viewers + config.http.max_streams + rtsp
    for name, viewer in config.viewers.items():
        if viewer.max_streams is None:
            continue
        where: Path = ("viewers", name, "max_streams")
        seen = [
            name
            for name, camera in config.cameras.items()
            if camera.enabled and any(fnmatchcase(name, pattern) for pattern in viewer.cameras)
        ]
        # Without a password there is no page, and so no wall.
        if viewer.password is not None and viewer.max_streams < len(seen):
            message = f"the wall shows {len(seen)} cameras to this viewer and can play {viewer.max_streams} at a time"
            yield where, f"{message}, so that the others stay dark; give at least {len(seen)}, or fewer cameras"
        if viewer.max_streams > places:
            yield where, f"it limits nothing: all listeners together have {places} places; lower it, or remove it"


def _network(webrtc: WebRtc) -> Iterator[tuple[Path, str]]:
    there = [name for _, name in socket.if_nameindex()]
    for pattern in webrtc.interfaces:
        if not any(fnmatchcase(name, pattern) for name in there):
            yield (
                ("webrtc", "interfaces"),
                f'no interface of this machine is named "{pattern}"; it has {", ".join(there)}',
            )
    used: dict[str, str] = {}
    for url in (url for server in webrtc.ice_servers for url in server.urls):
        kind = "STUN" if url.startswith("stun") else "TURN"
        if url.startswith("stuns") or (url.startswith("turns") and url.endswith("=udp")):
            yield ("webrtc", "ice_servers"), f"{url} is not used: STUN goes over UDP here, TURN with TLS over TCP"
        elif kind in used:
            yield ("webrtc", "ice_servers"), f"{url} is not used: there is one {kind} server already, {used[kind]}"
        else:
            used[kind] = url


def _exposed(listen: tuple[str, int], what: str) -> str:
    where = f"{listen[0]}:{listen[1]}" if listen[0] else f"port {listen[1]} of every interface"
    return f"there is no password: whoever reaches {where} sees {what}; add [viewers.NAME] with a password"


def _reading(path: FilePath) -> syntax.Reading:
    try:
        return syntax.read(read_text(path))
    except ConfigError:
        # It was readable a moment ago; the file's first line is as near as it gets.
        return syntax.read("")


def _given(overrides: Sequence[str]) -> list[Override]:
    given: list[Override] = []
    for number, override in enumerate(overrides):
        try:
            given.append(read(override, number))
        except OverrideError:
            continue
    return given


def _written(reading: syntax.Reading, given: Sequence[Override]) -> Written:
    data = deepcopy(reading.data)
    apply(given, data)
    return Written(data)


def _places(path: FilePath, reading: syntax.Reading, given: Sequence[Override]) -> Places:
    places = Places(str(path), reading.document)
    places.add(given)
    return places


def _placed(found: Iterable[tuple[Path, str]], places: Places, written: Written) -> list[Problem]:
    """The problems in their order. One that many cameras inherit is told once, where the value was written."""
    problems: set[tuple[Place, Problem]] = set()
    for key, message in found:
        origin = written.origin(key)
        place = places.of(origin)
        problems.add((place, Problem(place.text, dotted(origin), message)))
    return [problem for _, problem in sorted(problems)]
