"""The value types of the file: durations, bit rates, addresses, port ranges, sources. Each says what it expected."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MULTIPLES = {"": 1, "k": 1_000, "M": 1_000_000}
_BYTES = {**_MULTIPLES, "G": 1_000_000_000, "T": 1_000_000_000_000}
SCHEMES = ("rtsp", "rtsps", "http", "https", "v4l2", "file", "demo")
"""The closed list of source schemes: FFmpeg knows many more, and some of them read files or follow playlists."""


def duration(value: object) -> float:
    """Seconds from "200ms", "10s", "5m" or "1h"."""
    if isinstance(value, float):  # a default, already in seconds
        return value
    match = (
        re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|s|m|h)", value.strip()) if isinstance(value, str) else None
    )
    if match is None:
        raise ValueError('expected a duration with its unit, such as "200ms", "10s" or "5m"')
    return float(match[1]) * _UNITS[match[2]]


def off_or_seconds(value: float) -> float:
    """An interval of which 0 is none; whoever writes milliseconds means something else."""
    if 0 < value < 1:
        raise ValueError('expected "0s" for off, or a duration of at least "1s"')
    return value


def bitrate(value: object) -> int:
    """Bits a second from 500000, "500k" or "2M"."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)([kM]?)", value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected bits per second, such as 500000, "500k" or "2M"')
    return int(float(match[1]) * _MULTIPLES[match[2]])


def size(value: object) -> int:
    """Bytes from 500000000, "500M", "20G" or "2T": powers of 1000, as disks are sold."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,12})?)([kMGT]?)", value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a size, such as "500M", "20G" or "2T", or a number of bytes')
    return int(float(match[1]) * _BYTES[match[2]])


def folder(value: object) -> str:
    """An absolute path, without detours: a daemon's working directory is nobody's choice."""
    expected = 'expected the absolute path of a folder, such as "/var/lib/faceanond/recordings"'
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError(expected)
    parts = [part for part in value.split("/") if part]
    if not parts or any(part in {".", ".."} for part in parts) or not value.isprintable():
        raise ValueError(expected)
    return "/" + "/".join(parts)


def address(value: object) -> tuple[str, int]:
    """(host, port) from "127.0.0.1:8080", "[::1]:8080" or ":8080" (every interface)."""
    if isinstance(value, tuple):  # a default
        return value
    expected = 'expected "HOST:PORT", such as "127.0.0.1:8080", "[::1]:8080" or "0.0.0.0:8080"'
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]/@]*):([0-9]{1,5})", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(expected)
    port = int(match[2])
    if port > 65535:
        raise ValueError(f"{expected}; a port is at most 65535, not {port}")
    host = match[1].strip("[]")
    if match[1].startswith("["):
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f'{expected}; "{host}" is not an IPv6 address') from None
    return host, port


def optional_address(value: object) -> tuple[str, int] | None:
    """The same, or nothing from ""."""
    return None if value is None or value == "" else address(value)


def port_range(value: object) -> tuple[int, int]:
    """(first, last) from "40000-40100", the same number twice from "40000", or (0, 0) from "0": any port."""
    if isinstance(value, tuple):  # a default
        return value
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected one port, such as "40000", or "FIRST-LAST", such as "40000-40100", or "0" for any')
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last or last > 65535 or (first == 0 and last > 0):
        raise ValueError('expected "FIRST-LAST" with 1 <= FIRST <= LAST <= 65535, or "0" for any port')
    return first, last


def thresholds(value: object) -> tuple[float, float, float]:
    """The scores that P-, R- and O-Net must exceed."""
    expected = "expected three numbers from 0 to 1: the thresholds of P-, R- and O-Net"
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise ValueError(expected)
    for item in value:
        if isinstance(item, bool) or not isinstance(item, (int, float)) or not 0 <= item <= 1:
            raise ValueError(expected)
    return float(value[0]), float(value[1]), float(value[2])


@dataclass(frozen=True, slots=True)
class Source:
    """Where a camera's pictures come from. `location` is the full URL for networks, else a path, device or nothing.

    Credentials never live here: they have keys of their own, and a URL that holds some is refused.
    """

    scheme: str
    location: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.location if "://" in self.location else f"{self.scheme}:{self.location}"

    def option(self, name: str) -> str | None:
        return dict(self.options).get(name)


def source(value: object) -> Source:
    """A source from its URL; only the schemes in SCHEMES."""
    if isinstance(value, Source):
        return value
    listing = ", ".join(f"{scheme}:" for scheme in SCHEMES)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Source("v4l2", f"/dev/video{value}")
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a source that starts with one of {listing} or a V4L2 device number")
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return Source("v4l2", f"/dev/video{text}")
    scheme, separator, rest = text.partition(":")
    scheme = scheme.lower()
    if not separator or scheme not in SCHEMES:
        # Only what is surely a scheme is repeated: the text before a colon may as well be a user name or a password.
        named = f' "{scheme}:"' if rest.startswith("//") and re.fullmatch(r"[a-z][a-z0-9+.-]{0,15}", scheme) else ""
        raise ValueError(f"unknown source scheme{named}; expected one of {listing}")
    if scheme in {"rtsp", "rtsps", "http", "https"}:
        return _network(scheme, text)
    if scheme == "demo":
        query = rest.lstrip("?")
        return Source("demo", "", tuple((key, values[-1]) for key, values in parse_qs(query).items()))
    path = rest.removeprefix("//") if rest.startswith("//") else rest
    if not path:
        raise ValueError(f'"{scheme}:" needs a path, such as "{scheme}:{_EXAMPLES[scheme]}"')
    return Source(scheme, path)


_EXAMPLES = {"file": "/srv/video/lobby.mp4", "v4l2": "/dev/video0"}


def _network(scheme: str, text: str, *, what: str = "source", login: str = "username and password") -> Source:
    try:
        parts = urlsplit(text)
    except ValueError:  # its text may repeat a password
        raise ValueError(f'the {what}\'s URL is malformed; expected "{scheme}://HOST/PATH"') from None
    if "@" in parts.netloc:
        raise ValueError(
            f"the {what}'s URL holds a user name or password; give them as the keys {login}, "
            'so that they never show: password = "${credential:NAME}"'
        )
    try:
        usable = parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"the port of the {what}'s URL is not a number from 1 to 65535")
    if not parts.hostname:
        raise ValueError(f'the {what}\'s URL names no host; expected "{scheme}://HOST/PATH"')
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError(f"the {what}'s URL holds a space or a control character; write them as %20 and the like")
    return Source(scheme, text)


PUSH_SCHEMES = ("rtsp", "rtsps", "http", "https")
CAMERA_PLACE = "{camera}"
"""What stands for the camera's name in a URL that is for all of them."""


def push_url(value: object) -> str:
    """Where a camera is pushed to; "" for nowhere. "{camera}" in it stands for the camera's name."""
    expected = f'expected "rtsp://HOST/PATH" or "https://HOST/PATH" (WHIP); {CAMERA_PLACE} is replaced by the name'
    if not isinstance(value, str):
        raise ValueError(expected)
    text = value.strip()
    if not text:
        return ""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in PUSH_SCHEMES:
        raise ValueError(f"{expected}; use one of {', '.join(f'{name}:' for name in PUSH_SCHEMES)}")
    if re.search(r"[{}]", rest.replace(CAMERA_PLACE, "")):
        raise ValueError(f"the only thing that can stand in braces is {CAMERA_PLACE}; write others as %7B and %7D")
    _network(scheme.lower(), push_address(text, "camera"), what="push", login="username, password and token")
    return text


def push_address(url: str, camera: str) -> str:
    """A push URL with the camera's name in it."""
    return url.replace(CAMERA_PLACE, camera)


def origin(value: object) -> str:
    """A web origin, as browsers send it in the Origin header: "https://wall.example.org"."""
    expected = 'expected "SCHEME://HOST" or "SCHEME://HOST:PORT", such as "https://wall.example.org"'
    if value == "*":
        raise ValueError(f'{expected}; "*" would let every web page show the cameras to its visitors')
    if not isinstance(value, str):
        raise ValueError(expected)
    match = re.fullmatch(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?/?", value.lower())
    if match is None or int(match[3] or 1) not in range(1, 65536):
        raise ValueError(expected)
    return value.lower().rstrip("/")


def external_address(value: object) -> str:
    """An IP address or a host name, under which viewers outside reach this machine."""
    expected = 'expected an IP address or a host name without port, such as "203.0.113.7" or "cameras.example.org"'
    if not isinstance(value, str):
        raise ValueError(expected)
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        labels = value.removesuffix(".").split(".")
        proper = all(re.fullmatch(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", label) for label in labels)
        if not proper or len(value) > 253 or labels[-1].isdecimal():
            raise ValueError(expected) from None
        return value.lower()
    if parsed.is_unspecified or parsed.is_multicast:
        raise ValueError(f"{expected}; nobody can reach {parsed}")
    return str(parsed)


def interface_name(value: object) -> str:
    """A network interface's name, with the wildcards * and ?."""
    if not isinstance(value, str) or re.fullmatch(r"[A-Za-z0-9_.@:*?\[\]!-]{1,64}", value) is None:
        raise ValueError('expected the name of a network interface, such as "eth0", or a pattern, such as "eth*"')
    return value


def ice_url(value: object) -> str:
    """A STUN or TURN server (RFC 7064, RFC 7065): "stun:HOST:PORT" or "turn:HOST:PORT?transport=udp"."""
    expected = 'expected "stun:HOST:PORT" or "turn:HOST:PORT?transport=udp", such as "stun:stun.example.org:3478"'
    if not isinstance(value, str):
        raise ValueError(expected)
    if "@" in value:
        raise ValueError(f"{expected}; a user name and a password have keys of their own: username, credential")
    match = re.fullmatch(r"(stuns?|turns?):([^\s?:/]+)(?::([0-9]{1,5}))?(\?transport=(udp|tcp))?", value)
    if match is None or int(match[3] or 1) not in range(1, 65536) or (match[1].startswith("stun") and match[4]):
        raise ValueError(expected)
    return value


FROM_FILE = "from a file"
"""The validation context of the loader: there a bare number is a mistake where the models' own defaults are numbers."""

T = TypeVar("T")


def camera_pattern(value: object) -> str:
    """The name of a camera, with "*" for any letters."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9_*-]{1,63}", value):
        raise ValueError(
            'expected the name of a camera, such as "lobby", or with "*" for any letters, such as "yard-*"'
        )
    return value


def _textual(parse: Callable[[object], T]) -> BeforeValidator:
    """Lets Python callers give the parsed value, and makes files give the text that says its unit."""

    def validate(value: object, info: ValidationInfo) -> T:
        return parse("" if info.context == FROM_FILE and isinstance(value, float) else value)

    return BeforeValidator(validate)


def polygons(value: object) -> object:
    """A list of polygons, unchanged; names the likeliest mistake, which is to give one polygon alone."""
    if isinstance(value, list) and value and all(_is_point(item) for item in value):
        raise ValueError("this is one polygon; a list of polygons is expected: put it into one more pair of brackets")
    return value


def _is_point(item: object) -> bool:
    return isinstance(item, list) and len(item) == 2 and all(isinstance(number, (int, float)) for number in item)


Duration = Annotated[float, _textual(duration)]
Interval = Annotated[float, _textual(duration), AfterValidator(off_or_seconds)]
Bitrate = Annotated[int, BeforeValidator(bitrate)]
Size = Annotated[int, BeforeValidator(size)]
Folder = Annotated[str, BeforeValidator(folder)]
Address = Annotated[tuple[str, int], BeforeValidator(address)]
OptionalAddress = Annotated[tuple[str, int] | None, BeforeValidator(optional_address)]
PortRange = Annotated[tuple[int, int], BeforeValidator(port_range)]
Thresholds = Annotated[tuple[float, float, float], BeforeValidator(thresholds)]
SourceUrl = Annotated[Source, BeforeValidator(source)]
Origin = Annotated[str, BeforeValidator(origin)]
ExternalAddress = Annotated[str, BeforeValidator(external_address)]
InterfaceName = Annotated[str, BeforeValidator(interface_name)]
IceUrl = Annotated[str, BeforeValidator(ice_url)]
CameraPattern = Annotated[str, BeforeValidator(camera_pattern)]
PushUrl = Annotated[str, BeforeValidator(push_url)]
