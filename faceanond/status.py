"""Snapshots of how things stand: made by the pipelines, read by metrics, pages and health checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from faceanond.frames import Verdict
from faceanond.stats import HistogramSnapshot


class CameraState(StrEnum):
    """Where a camera is in its life; the label of `camera_state`."""

    CONNECTING = "connecting"
    LIVE = "live"
    RETRYING = "retrying"
    DISABLED = "disabled"


class OverloadState(StrEnum):
    """What a camera does because its pictures cannot be worked off in time; the label of `overload_state`."""

    NONE = "none"
    DROPPING = "dropping"
    REDUCED = "reduced"
    CONCEALING = "concealing"


class RecordState(StrEnum):
    """What becomes of a camera's recording; the label of `record_state`."""

    OFF = "off"
    STARTING = "starting"
    RECORDING = "recording"
    FAILING = "failing"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordStatus:
    """One camera's recordings at one moment. `segments`, `size` (bytes) and `oldest` (Unix time) are what is on disk,
    counters count since the process started: bytes that were written, failures by reason, files deleted by reason.
    """

    state: RecordState = RecordState.OFF
    last_error: str | None = None
    segments: int = 0
    size: int = 0
    oldest: float | None = None
    written: int = 0
    lost: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    deleted: Mapping[str, int] = field(default_factory=dict)


class PushState(StrEnum):
    """Where the push of a camera's stream is in its life."""

    WAITING = "waiting"
    """For the encoder's first keyframe."""
    CONNECTING = "connecting"
    UP = "up"
    RETRYING = "retrying"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushStatus:
    """One camera's push to a media server at one moment.

    `since` is the wall-clock time of the last change of `state`. `url` and `last_error` are redacted. `failures` counts
    by `PushFault` since the process started.
    """

    state: PushState
    since: float
    url: str
    last_error: str | None = None
    retry_in: float | None = None
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraStatus:
    """One camera at one moment. Counters count since the process started; mappings may lack what never happened.

    `source` and `last_error` are redacted. `last_frame` is the wall-clock time of the last captured picture.
    `dropped` is keyed by (stage, reason), `probed` by the leak probe's result. `fail_closed` names why the whole
    picture is concealed now, or None. `vp8` tells whether a second encoding runs. `push` is None where nothing is
    pushed.
    """

    name: str
    state: CameraState
    source: str
    codec: str | None = None
    width: int = 0
    height: int = 0
    fps: float = 0.0
    captured: int = 0
    published: Mapping[Verdict, int] = field(default_factory=dict)
    dropped: Mapping[tuple[str, str], int] = field(default_factory=dict)
    reconnects: Mapping[str, int] = field(default_factory=dict)
    last_frame: float | None = None
    last_error: str | None = None
    retry_in: float | None = None
    faces_detected: int = 0
    faces_current: int = 0
    tracks_coasting: int = 0
    face_sizes: HistogramSnapshot | None = None
    latency: HistogramSnapshot | None = None
    encode: HistogramSnapshot | None = None
    output_bytes: Mapping[str, int] = field(default_factory=dict)
    viewers: Mapping[str, int] = field(default_factory=dict)
    fail_closed: str | None = None
    fail_closed_seconds: Mapping[str, float] = field(default_factory=dict)
    probed: Mapping[str, int] = field(default_factory=dict)
    residual_faces: int = 0
    overload: OverloadState = OverloadState.NONE
    vp8: bool = False
    push: PushStatus | None = None
    record: RecordStatus = RecordStatus()

    @property
    def up(self) -> bool:
        """Pictures are coming in."""
        return self.state is CameraState.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceStatus:
    """The shared detector at one moment."""

    detector: str
    provider: str
    queue_length: int
    queue_wait: HistogramSnapshot
    batch_size: HistogramSnapshot
    stages: Mapping[str, HistogramSnapshot]
    failures: int
    canary_failures: int
