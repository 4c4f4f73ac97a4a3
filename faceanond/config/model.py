"""The configuration's shape and its defaults: the one place where either is decided.

Models are frozen. Everything has a default, except a camera's source. `config.toml` at the repository's root shows
every key; a test proves that it equals these defaults.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr

from faceanond.config.types import Address, Bitrate, Duration, PortRange, SourceUrl, Thresholds

CAMERA_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
"""Safe in a URL, a metric label, a thread name and a file name."""

Point = tuple[float, float]
Zone = Annotated[tuple[Point, ...], Field(min_length=3)]


class Table(BaseModel):
    """The base of every table: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)


class DetectOptions(Table):
    """What one camera may ask of the shared detector. The longer names in the aliases are PeekingDuck's of v1.1."""

    min_size: int = Field(default=40, ge=12, le=4096, validation_alias=AliasChoices("min_size", "mtcnn_min_size"))
    scale_factor: float = Field(
        default=0.709, ge=0.5, le=0.95, validation_alias=AliasChoices("scale_factor", "mtcnn_factor")
    )
    network_thresholds: Thresholds = Field(
        default=(0.6, 0.7, 0.7), validation_alias=AliasChoices("network_thresholds", "mtcnn_thresholds")
    )
    score_threshold: float = Field(
        default=0.7, ge=0, le=1, validation_alias=AliasChoices("score_threshold", "mtcnn_score")
    )


class Detector(DetectOptions):
    """[detector]: the options above are the fleet's defaults, the rest is for the whole process."""

    name: Literal["mtcnn"] = "mtcnn"
    device: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    max_batch: int = Field(default=16, ge=1, le=256)
    threads: int = Field(default=0, ge=0, le=256)
    timeout: Duration = Field(default=1.0, gt=0, le=60)


class Anonymise(Table):
    """[anonymise]: how faces are hidden."""

    method: Literal["mosaic", "blur", "solid"] = "mosaic"
    mosaic_level: int = Field(default=7, ge=2, le=12)
    blur_level: float = Field(default=50.0, ge=20, le=500)
    margin: float = Field(default=0.25, ge=0.0, le=2.0)
    shape: Literal["ellipse", "box"] = "ellipse"
    legend: tuple[Literal["fps", "name", "time"], ...] = ("fps",)


class Encode(Table):
    """[encode]: the one H.264 stream per camera."""

    bitrate: Bitrate = Field(default=2_000_000, ge=50_000, le=100_000_000)
    keyframe_interval: Duration = Field(default=2.0, ge=0.2, le=60)
    max_fps: float = Field(default=0, ge=0, le=240)
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = "superfast"


class Http(Table):
    """[http]: the listener of pages, WHEP, API and metrics."""

    listen: Address = ("127.0.0.1", 8080)
    allowed_origins: tuple[str, ...] = ()


class Rtsp(Table):
    """[rtsp]: the built-in RTSP server."""

    enabled: bool = True
    listen: Address = ("127.0.0.1", 8554)
    max_sessions: int = Field(default=100, ge=1, le=10_000)


class IceServer(Table):
    """One STUN or TURN server."""

    urls: tuple[str, ...] = Field(min_length=1)
    username: str | None = None
    credential: SecretStr | None = None


class WebRtc(Table):
    """[webrtc]: how browsers reach the streams."""

    ice_servers: tuple[IceServer, ...] = ()
    external_addresses: tuple[str, ...] = ()
    udp_ports: PortRange = (0, 0)
    max_viewers: int = Field(default=100, ge=1, le=10_000)


class Log(Table):
    """[log]: what is told to the journal or the terminal."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Camera(Table):
    """[cameras.NAME], after the fleet's defaults have been filled into `detector`, `anonymise` and `encode`."""

    source: SourceUrl
    enabled: bool = True
    username: str | None = None
    password: SecretStr | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    tls_verify: bool = True
    timeout: Duration = Field(default=10.0, ge=1, le=120)
    zones: tuple[Zone, ...] = ()
    detector: DetectOptions = DetectOptions()
    anonymise: Anonymise = Anonymise()
    encode: Encode = Encode()


class Config(Table):
    """The whole file."""

    detector: Detector = Detector()
    anonymise: Anonymise = Anonymise()
    encode: Encode = Encode()
    http: Http = Http()
    rtsp: Rtsp = Rtsp()
    webrtc: WebRtc = WebRtc()
    log: Log = Log()
    cameras: dict[Annotated[str, Field(pattern=CAMERA_NAME)], Camera] = {}
