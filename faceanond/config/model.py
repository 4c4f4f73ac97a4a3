"""The configuration's shape and its defaults: the one place where either is decided.

Models are frozen. Everything has a default, except a camera's source. `config.toml` at the repository's root shows
every key; a test proves that it equals these defaults. The descriptions are the text of docs/reference/config.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, BeforeValidator, Field, PrivateAttr, SecretStr, Strict

from faceanond.config.detectors import DetectorNames, ModelHashes, ModelPaths
from faceanond.config.record import DISK_KEYS, Record, RecordOptions
from faceanond.config.table import Table
from faceanond.config.types import (
    Address,
    Bitrate,
    CameraPattern,
    Duration,
    ExternalAddress,
    IceUrl,
    InterfaceName,
    Interval,
    OptionalAddress,
    Origin,
    PortRange,
    PushUrl,
    SourceUrl,
    Thresholds,
    polygons,
)

CAMERA_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
"""Safe in a URL, a metric label, a thread name and a file name."""

VIEWER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$"
"""Without ":", which ends the name in HTTP's Basic scheme, and without what would have to be quoted in a header."""
SHORTEST_PASSWORD = 8
SHORTEST_TOKEN = 16
"""Characters: a token is never typed, so nothing speaks for a short one."""

# TOML has arrays, Python's strict mode wants tuples where tuples are declared: these levels take both.
Point = Annotated[tuple[float, float], Strict(False)]
Zone = Annotated[tuple[Point, ...], Strict(False), Field(min_length=3)]


class DetectOptions(Table):
    """What one camera may ask of the shared detector. The longer names in the aliases are PeekingDuck's of v1.1."""

    min_size: int = Field(
        default=40,
        ge=12,
        le=4096,
        validation_alias=AliasChoices("min_size", "mtcnn_min_size"),
        description="the smallest face, in pixels of the picture; halving it costs four times as much",
    )
    scale_factor: float = Field(
        default=0.709,
        ge=0.5,
        le=0.95,
        validation_alias=AliasChoices("scale_factor", "mtcnn_factor"),
        description="the step from one size of the image pyramid to the next",
    )
    network_thresholds: Thresholds = Field(
        default=(0.6, 0.7, 0.7),
        validation_alias=AliasChoices("network_thresholds", "mtcnn_thresholds"),
        description="the scores that a candidate must exceed in P-, R- and O-Net; lower finds more faces and more else",
    )
    score_threshold: float = Field(
        default=0.7,
        ge=0,
        le=1,
        validation_alias=AliasChoices("score_threshold", "mtcnn_score"),
        description="the final score that a face must exceed",
    )


class Detector(DetectOptions):
    """[detector]: the options above are the fleet's defaults, the rest is for the whole process."""

    name: DetectorNames = Field(
        default=("mtcnn",),
        description="the network; with several, a face counts that any of them finds, and their costs add up",
    )
    model: ModelPaths = Field(
        default="",
        description="the ONNX file of yunet or centerface; when empty, where `faceanond fetch-model` puts it",
    )
    model_sha256: ModelHashes = Field(
        default="", description="the hash of a model file other than the official one, which is refused without it"
    )
    device: Literal["auto", "cpu", "cuda", "tensorrt"] = Field(
        default="auto",
        description="what the network runs on; a device that is named and missing is an error, never a fallback",
    )
    max_batch: int = Field(default=16, ge=1, le=256, description="the most frames that go through the network at once")
    threads: int = Field(
        default=0, ge=0, le=256, description="CPU threads of the network; 0 leaves the choice to faceanond"
    )
    quantised: bool = Field(
        default=True,
        description="whether 8-bit copies of MTCNN's networks look first, on CPUs that run them (x86-64 with AVX-512 "
        "VNNI); the float networks decide whatever is close, and look at every face that is reported",
    )
    timeout: Duration = Field(
        default=1.0, gt=0, le=60, description="how long a frame waits for its verdict before it is concealed"
    )


class Track(Table):
    """[track]: how faces are followed from picture to picture."""

    enabled: bool = Field(
        default=True,
        description="whether a face that the detector misses stays hidden because it was there before or comes back",
    )
    look_ahead: Duration = Field(
        default=0.2,
        ge=0,
        le=5,
        description="how long each picture waits, so that a face is hidden in it that is found only later; 0s for the "
        "shortest delay",
    )
    hold: Duration = Field(
        default=1.0, ge=0.1, le=30, description="how long a face that is not found any more stays hidden"
    )


class Anonymise(Table):
    """[anonymise]: how faces are hidden."""

    method: Literal["mosaic", "blur", "solid"] = Field(
        default="mosaic",
        description="what is put over a face; solid leaks nothing, and there is no way to hide nothing",
    )
    mosaic_level: int = Field(default=7, ge=2, le=12, description="mosaic cells along a face's side; fewer hide more")
    blur_level: float = Field(
        default=50.0,
        ge=20,
        le=500,
        description="standard deviation of the Gaussian blur in pixels, scaled up for large faces; more hides more",
    )
    noise: int = Field(
        default=0,
        ge=0,
        le=32,
        description="brightness and colour levels by which each cell may be off, the same for as long as a face is "
        "followed, so that it does not average out; 0 for none",
    )
    margin: float = Field(
        default=0.25,
        ge=0.0,
        le=2.0,
        description="how far the cover reaches over the face's box, as a share of its side",
    )
    shape: Literal["ellipse", "box"] = Field(default="ellipse", description="the outline of the cover")
    legend: Annotated[tuple[Literal["fps", "name", "time"], ...], Strict(False)] = Field(
        default=("fps",), description="what is written into the picture; off when empty"
    )


class Encode(Table):
    """[encode]: the one H.264 stream per camera, and a second one in VP8 while it is needed."""

    bitrate: Bitrate = Field(
        default=2_000_000, ge=50_000, le=100_000_000, description="bits a second of each camera's stream"
    )
    keyframe_interval: Duration = Field(
        default=2.0,
        ge=0.2,
        le=60,
        description="the longest time between two keyframes; a joining viewer gets one at once",
    )
    max_fps: float = Field(default=0.0, ge=0, le=240, description="frames a second at most; 0 follows the camera")
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = Field(
        default="superfast", description="x264's trade of CPU time against quality at the same bit rate"
    )
    vp8: bool = Field(
        default=True,
        description="whether a browser without H.264 gets VP8: a second encoding of the camera, dearer than the "
        "first, which runs only while such a viewer watches",
    )


class Probe(Table):
    """[probe]: a look at what goes out, with the detector's own eyes."""

    interval: Interval = Field(
        default=0.0,
        le=86_400,
        description="how often an encoded picture of each camera is decoded again and searched for faces outside its "
        "masks; 0s never",
    )
    score_threshold: float = Field(
        default=0.5,
        ge=0.1,
        le=1,
        description="the score that counts there, for the final score and each network; the detector's own where that "
        "is lower",
    )


class Push(Table):
    """[push]: the anonymised stream is sent on to a media server, which then carries its viewers."""

    url: PushUrl = Field(
        default="",
        description="where to: rtsp: or rtsps: (ANNOUNCE and RECORD), or http: or https: (WHIP); {camera} in it is "
        "replaced by the camera's name; nowhere when empty",
    )
    username: str = Field(default="", description="user name at an RTSP server; none when empty")
    password: SecretStr = Field(default=SecretStr(""), description="password at an RTSP server")
    token: SecretStr = Field(default=SecretStr(""), description="bearer token at a WHIP server; none when empty")
    transport: Literal["tcp", "udp"] = Field(default="tcp", description="how RTSP carries the pictures")
    allow_basic: bool = Field(
        default=False,
        description="whether an rtsp: server on another machine that offers Basic only gets the password, readable for "
        "anyone in between; without it that push fails",
    )
    tls_verify: bool = Field(
        default=True, description="whether the certificate of an rtsps: or https: server is checked"
    )


class Overload(Table):
    """[overload]: what happens when pictures come faster than they can be worked off; for the whole process."""

    max_latency: Duration = Field(
        default=1.0,
        ge=0.2,
        le=10,
        description="the longest time from a picture's capture to its sealing; an older one is concealed, and "
        "`detector.timeout` counts up to this only",
    )


class Http(Table):
    """[http]: the listener of pages, WHEP, API and metrics."""

    listen: Address = Field(
        default=("127.0.0.1", 8080),
        description="address and port; ':8080' listens on every interface; without [viewers] it asks for no password",
    )
    allowed_origins: Annotated[tuple[Origin, ...], Strict(False)] = Field(
        default=(), description="web pages of other origins that may play the streams"
    )
    certificate: str = Field(
        default="",
        description="the file of a certificate, with its chain, in PEM form; with it the listener speaks HTTPS only",
    )
    key: str = Field(default="", description="the file of the certificate's private key, without a passphrase")
    max_streams: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="viewers of stream.mp4 and of the page's fallback at the same time, all cameras together",
    )


class Rtsp(Table):
    """[rtsp]: the built-in RTSP server."""

    enabled: bool = Field(default=True, description="whether the server runs")
    listen: Address = Field(
        default=("127.0.0.1", 8554),
        description="address and port; ':8554' listens on every interface; without [viewers] it asks for no password",
    )
    tls_listen: OptionalAddress = Field(
        default=None,
        description="address and port of RTSPS, the same inside TLS, such as ':8322'; not served when empty",
    )
    certificate: str = Field(
        default="", description="the file of the certificate for tls_listen, with its chain, in PEM form"
    )
    key: str = Field(default="", description="the file of the certificate's private key, without a passphrase")
    max_sessions: int = Field(
        default=100, ge=1, le=10_000, description="players at the same time, all cameras together"
    )
    max_per_address: int = Field(
        default=50, ge=1, le=10_000, description="connections from one address; a recorder or a proxy may need more"
    )


class IceServer(Table):
    """One STUN or TURN server."""

    urls: Annotated[tuple[IceUrl, ...], Strict(False)] = Field(min_length=1, description="where the server is")
    username: str | None = Field(default=None, description="user name at a TURN server")
    credential: SecretStr | None = Field(default=None, description="password at a TURN server")


class WebRtc(Table):
    """[webrtc]: how browsers reach the streams."""

    ice_servers: Annotated[tuple[IceServer, ...], Strict(False)] = Field(
        default=(), description="STUN and TURN servers; none are asked when empty"
    )
    external_addresses: Annotated[tuple[ExternalAddress, ...], Strict(False)] = Field(
        default=(),
        description="addresses or host names under which viewers reach this machine from outside, when behind NAT",
    )
    interfaces: Annotated[tuple[InterfaceName, ...], Strict(False)] = Field(
        default=(),
        description="network interfaces whose addresses viewers are offered, such as 'eth*'; all but loopback and "
        "the bridges of containers when empty",
    )
    udp_ports: PortRange = Field(
        default=(0, 0),
        description="the UDP ports for media, to be opened in a firewall: '40000' serves all viewers, '40000-40100' "
        "one each, '0' takes any free ones",
    )
    tcp_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="the TCP port for media, for viewers whose network lets no UDP through; 0 is none",
    )
    max_viewers: int = Field(
        default=100, ge=1, le=10_000, description="browsers at the same time, all cameras together"
    )


class Viewer(Table):
    """[viewers.NAME]: one person, player or script that may watch. As soon as there is one, nobody else may."""

    password: SecretStr | None = Field(
        default=None,
        min_length=SHORTEST_PASSWORD,
        description="for browsers and RTSP players, together with the viewer's name; at least 8 characters",
    )
    token: SecretStr | None = Field(
        default=None,
        min_length=SHORTEST_TOKEN,
        description='for WHEP players and scripts: "Authorization: Bearer TOKEN"; at least 16 characters',
    )
    cameras: Annotated[tuple[CameraPattern, ...], Strict(False)] = Field(
        default=("*",),
        min_length=1,
        description='the cameras that this viewer may see, by name; "*" stands for any letters, as in "yard-*"',
    )
    max_streams: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="the most streams that this viewer may watch at the same time, over WebRTC, stream.mp4 and RTSP "
        "together; no limit of its own when not set",
    )


class Log(Table):
    """[log]: what is told to the journal or the terminal."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="the least that is told")
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto writes JSON unless on a terminal"
    )


class Camera(Table):
    """[cameras.NAME], after the fleet's defaults have been filled into its tables."""

    source: SourceUrl = Field(description="where the pictures come from")
    enabled: bool = Field(default=True, description="whether the camera is opened at all")
    username: str | None = Field(default=None, description="user name at the camera")
    password: SecretStr | None = Field(default=None, description="password at the camera")
    transport: Literal["tcp", "udp"] = Field(default="tcp", description="how RTSP carries the pictures")
    tls_verify: bool = Field(
        default=True, description="whether the certificate of an rtsps: or https: camera is checked"
    )
    timeout: Duration = Field(
        default=10.0, ge=1, le=120, description="how long the camera may be silent before it is given up and reopened"
    )
    zones: Annotated[tuple[Zone, ...], Strict(False), BeforeValidator(polygons)] = Field(
        default=(), description="polygons that are always hidden, each a list of at least three [x, y] points in pixels"
    )
    detector: DetectOptions = DetectOptions()
    track: Track = Track()
    anonymise: Anonymise = Anonymise()
    encode: Encode = Encode()
    probe: Probe = Probe()
    push: Push = Push()
    record: RecordOptions = RecordOptions()


class Config(Table):
    """The whole file."""

    detector: Detector = Detector()
    track: Track = Track()
    anonymise: Anonymise = Anonymise()
    encode: Encode = Encode()
    probe: Probe = Probe()
    push: Push = Push()
    record: Record = Record()
    overload: Overload = Overload()
    http: Http = Http()
    rtsp: Rtsp = Rtsp()
    webrtc: WebRtc = WebRtc()
    log: Log = Log()
    viewers: dict[Annotated[str, Field(pattern=VIEWER_NAME)], Viewer] = Field(default={})
    cameras: dict[Annotated[str, Field(pattern=CAMERA_NAME)], Camera] = Field(default={})
    _resolved: frozenset[str] = PrivateAttr(default=frozenset())
    """What `${...}` references were replaced with; see `secrets.secret_values`."""


PROCESS_KEYS = tuple(key for key in Detector.model_fields if key not in DetectOptions.model_fields)
"""Keys of [detector] that cannot differ from camera to camera: all share one detector."""

PROCESS_WIDE = frozenset(
    (table, key) for table, keys in (("detector", PROCESS_KEYS), ("record", DISK_KEYS)) for key in keys
)
"""(table, key) of what stands in a table of cameras' defaults and is none."""
