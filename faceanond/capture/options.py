"""What FFmpeg is told for each kind of source: closed lists of protocols and formats, and every wait with an end.

FFmpeg opens far more than cameras (playlists, `concat:`, local files named in a remote stream), ignores options that
it does not know, and waits for ever unless told otherwise. So each scheme gets its own short list here, and nothing
of it comes from the network.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from faceanond.config.model import Camera
from faceanond.errors import SourceError, SourceFault
from faceanond.redact import redact

STREAM_FORMATS = "mpjpeg,mjpeg,mpegts,mpeg,flv,matroska,webm,mov,mp4,ogg,asf,avi,h264,hevc,m4v,ivf,obu"
"""Demuxers that only read what they are given: no playlists, no descriptions that name other places."""
FILE_FORMATS = STREAM_FORMATS + ",nut,yuv4mpegpipe,mxf,gif,mpegvideo,dv,rm,wav,mp3,aac,flac"
"""As above, and formats of files. Sound is on the list so that a sound file is called what it is."""
PATIENCE = 0.8
"""Share of a camera's timeout that FFmpeg gets for one network wait. Its own error is more exact than the
watchdog's, so it comes first."""
MAX_RTSP_USERINFO = 127
"""FFmpeg's RTSP client cuts "user:password" (percent-encoded) to this many bytes, without a word."""
CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Debian, Fedora, SUSE and Alpine keep the certificates that they trust. The FFmpeg in the wheel knows none."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to open. `url` may hold credentials and is never shown; `shown` is for people.

    `host` and `port` are set for networks. `realtime`: the sender decides when pictures come. `clocked`: the
    stream's timestamps mean something (multipart MJPEG has none, so FFmpeg makes them up). `lossy`: packets may get
    lost on the way.
    """

    url: str = field(repr=False)
    shown: str
    format: str | None
    options: Mapping[str, str] = field(repr=False)
    host: str | None = None
    port: int | None = None
    realtime: bool = True
    lossy: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)


def target(camera: Camera) -> Target:
    """The target of every scheme that FFmpeg serves. Raises SourceError for one that it does not."""
    source = camera.source
    match source.scheme:
        case "rtsp" | "rtsps":
            return _rtsp(camera)
        case "http" | "https":
            return _http(camera)
        case "v4l2":
            return Target(source.location, str(source), "v4l2", {"protocol_whitelist": "file"})
        case "file":
            options = {"protocol_whitelist": "file", "format_whitelist": FILE_FORMATS}
            # With "file:" in front, a name such as "concat:a" or "a:b" is a name and nothing else.
            return Target(f"file:{source.location}", source.location, None, options, realtime=False)
    raise SourceError(SourceFault.INTERNAL, f"{source.scheme}: is not opened by FFmpeg")


def _rtsp(camera: Camera) -> Target:
    secure = camera.source.scheme == "rtsps"
    options = {
        "rtsp_transport": camera.transport,
        # Anything else is not set up at all: a camera's sound never enters the process.
        "allowed_media_types": "video",
        "timeout": _microseconds(camera.timeout * PATIENCE),
        "protocol_whitelist": "rtsp,rtp,srtp,udp,tcp,tls" if secure else "rtsp,rtp,udp,tcp",
        **_analysis(camera),
    }
    if secure:
        options |= _tls(camera)
        # Over TLS the pictures stay inside the encrypted connection whatever `transport` says.
        options["rtsp_transport"] = "tcp"
    url, secrets = _with_credentials(camera)
    userinfo = urlsplit(url).netloc.rpartition("@")[0]
    if len(userinfo) > MAX_RTSP_USERINFO:
        raise SourceError(
            SourceFault.UNAUTHORISED,
            f"{_shown(camera)}: user name and password are too long together: at most {MAX_RTSP_USERINFO} bytes, "
            "with three for each special character",
        )
    host, port = _peer(camera, 322 if secure else 554)
    return Target(
        url, _shown(camera), "rtsp", options, host, port, lossy=options["rtsp_transport"] == "udp", secrets=secrets
    )


def _http(camera: Camera) -> Target:
    secure = camera.source.scheme == "https"
    options = {
        "timeout": _microseconds(camera.timeout * PATIENCE),
        "protocol_whitelist": "https,tls,tcp" if secure else "http,tcp",
        "format_whitelist": STREAM_FORMATS,
        # A redirect could lead anywhere, credentials included; the configuration names the final address.
        "max_redirects": "0",
        **_analysis(camera),
    }
    if secure:
        options |= _tls(camera)
    url, secrets = _with_credentials(camera)
    host, port = _peer(camera, 443 if secure else 80)
    return Target(url, _shown(camera), None, options, host, port, secrets=secrets)


def _analysis(camera: Camera) -> dict[str, str]:
    """How long FFmpeg looks at a live stream before it says what it is: three pictures are enough for a frame rate,
    but the first key picture may be one whole group of pictures away."""
    return {"fpsprobesize": "3", "analyzeduration": _microseconds(camera.timeout * PATIENCE)}


def _tls(camera: Camera) -> dict[str, str]:
    if not camera.tls_verify:
        return {"tls_verify": "0"}
    return {"tls_verify": "1", "ca_file": ca_file()}


def ca_file() -> str:
    """The file with the certificates that this system trusts. Raises SourceError when there is none."""
    default = ssl.get_default_verify_paths().cafile
    for path in (default, *CA_FILES):
        if path and Path(path).is_file():
            return path
    raise SourceError(
        SourceFault.UNREACHABLE,
        "no file of trusted certificates was found (install ca-certificates), so the camera's cannot be verified",
    )


def _with_credentials(camera: Camera) -> tuple[str, tuple[str, ...]]:
    """The URL as FFmpeg wants it, and what of it must never show."""
    password = camera.password.get_secret_value() if camera.password is not None else ""
    if camera.username is None and not password:
        return camera.source.location, ()
    user, word = quote(camera.username or "", safe=""), quote(password, safe="")
    parts = urlsplit(camera.source.location)
    url = urlunsplit(parts._replace(netloc=f"{user}:{word}@{parts.netloc}"))
    return url, tuple(secret for secret in (password, word) if secret)


def _peer(camera: Camera, default_port: int) -> tuple[str, int]:
    parts = urlsplit(camera.source.location)
    host = parts.hostname
    if not host:
        raise SourceError(SourceFault.NOT_FOUND, f"{_shown(camera)}: the URL names no host")
    return host, parts.port or default_port


def _shown(camera: Camera) -> str:
    return redact(str(camera.source))


def _microseconds(seconds: float) -> str:
    return str(int(seconds * 1_000_000))
