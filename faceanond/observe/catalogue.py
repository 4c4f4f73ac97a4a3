"""Every metric by name: the one list behind the exposition, its documentation, the alerts and the dashboard.

One row declares a metric's name, type, meaning and labels, and says where its value comes from in a snapshot. Labels
are `camera` and closed sets only, and each known value of a closed set is there from the first scrape with 0, so that
rate() sees the first event and an alert never looks at a series that does not exist yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from faceanond.errors import PushFault, RecordFault, SourceFault
from faceanond.frames import Verdict
from faceanond.logins import PROTOCOLS as LISTENERS
from faceanond.observe.rows import Kind, Metric, Samples
from faceanond.observe.rows import each as _each
from faceanond.observe.rows import maybe as _maybe
from faceanond.observe.rows import now as _now
from faceanond.observe.rows import one as _one
from faceanond.stats import HistogramSnapshot
from faceanond.status import (
    CameraState,
    CameraStatus,
    InferenceStatus,
    OverloadState,
    PushState,
    PushStatus,
    RecordState,
)

DROPS = (
    *(("capture", "max_fps"), ("capture", "overload")),
    *(("mailbox", "newer"), ("mailbox", "late")),
    *(("detect", "stopped"), ("seal", "late")),
    *(("encode", "failed"), ("encode", "vp8_failed"), ("encode", "vp8_late")),
    ("viewer", "slow"),
)
"""Every (stage, reason) for which a picture, or a viewer's packet, is dropped."""
PROTOCOLS = ("webrtc", "rtsp", "mp4")
"""Every way to watch."""
PUSHES = ("push_rtsp", "push_whip")
"""Every way to a media server: it is no viewer, but what it gets counts as output."""
FAIL_CLOSED = (
    *("no_signal", "late"),  # pipeline
    *("gap", "corrupt"),  # capture
    *("timeout", "superseded", "overload", "canary"),  # inference
    *("detector_failed", "device_lost", "nan", "shape", "closed"),  # detector
    *("wrong_frame", "bad_boxes", "too_many_faces", "effect_failed"),  # anonymiser
    "track_failed",
    *("too_small", "zone_outside"),  # a configuration that does not fit the picture
)
"""Why a whole picture is concealed. A reason that is missing here is exposed all the same, from its first time on."""

PROBED = ("clear", "residual", "skipped", "failed")
"""How a look at a published picture ended."""

RECORD_DELETED = ("age", "size", "space")
"""Why a recording was deleted."""


def _fail_closed_now(status: CameraStatus) -> Samples:
    """Like `_now`, and a reason that is over stays as 0: a series that ends would look like one still firing."""
    past = [reason for reason in status.fail_closed_seconds if reason not in FAIL_CLOSED]
    return _now((*FAIL_CLOSED, *past), lambda _: status.fail_closed)(status)


def _pushed(read: Callable[[PushStatus], Samples]) -> Callable[[CameraStatus], Samples]:
    """Of cameras that are pushed."""
    return lambda status: [] if status.push is None else read(status.push)


CAMERA_METRICS: tuple[Metric[CameraStatus], ...] = (
    Metric(
        "camera_up",
        Kind.GAUGE,
        "1 while pictures come in from the camera.",
        _one(lambda c: float(c.up)),
    ),
    Metric(
        "camera_state",
        Kind.GAUGE,
        "1 for the state that the camera is in, 0 for the others.",
        _now(CameraState, lambda c: c.state),
        ("state",),
    ),
    Metric(
        "camera_fps",
        Kind.GAUGE,
        "Published pictures of the camera a second, over the last two seconds.",
        _one(lambda c: c.fps),
    ),
    Metric(
        "camera_reconnects_total",
        Kind.COUNTER,
        "Connections that failed or ended, by reason.",
        _each([fault.value for fault in SourceFault], lambda c: c.reconnects),
        ("reason",),
    ),
    Metric(
        "last_frame_timestamp_seconds",
        Kind.GAUGE,
        "Unix time of the last captured picture; 0 before the first.",
        _one(lambda c: c.last_frame or 0.0),
    ),
    Metric(
        "frames_captured_total",
        Kind.COUNTER,
        "Pictures that were decoded.",
        _one(lambda c: c.captured),
    ),
    Metric(
        "frames_published_total",
        Kind.COUNTER,
        "Pictures that went out, by verdict.",
        _each(Verdict, lambda c: c.published),
        ("verdict",),
    ),
    Metric(
        "frames_dropped_total",
        Kind.COUNTER,
        "Pictures or packets that a stage dropped, by stage and reason.",
        _each(DROPS, lambda c: c.dropped),
        ("stage", "reason"),
    ),
    Metric(
        "fail_closed",
        Kind.GAUGE,
        "1 while the whole picture is concealed for that reason.",
        _fail_closed_now,
        ("reason",),
    ),
    Metric(
        "fail_closed_seconds_total",
        Kind.COUNTER,
        "Time during which the whole picture was concealed, by reason.",
        _each(FAIL_CLOSED, lambda c: c.fail_closed_seconds),
        ("reason",),
    ),
    Metric(
        "overload_state",
        Kind.GAUGE,
        "1 for what the camera does because its pictures cannot be worked off in time, 0 for the others.",
        _now(OverloadState, lambda c: c.overload),
        ("state",),
    ),
    Metric(
        "faces_detected_total",
        Kind.COUNTER,
        "Faces found, counted anew in every picture.",
        _one(lambda c: c.faces_detected),
    ),
    Metric(
        "faces_current",
        Kind.GAUGE,
        "Faces found in the latest picture.",
        _one(lambda c: c.faces_current),
    ),
    Metric(
        "tracks_coasting",
        Kind.GAUGE,
        "Faces in the latest picture that are hidden although they were not found in it.",
        _one(lambda c: c.tracks_coasting),
    ),
    Metric(
        "face_size_pixels",
        Kind.HISTOGRAM,
        "Shorter side of each face found, in pixels of the camera's picture.",
        _maybe(lambda c: c.face_sizes),
    ),
    Metric(
        "end_to_end_latency_seconds",
        Kind.HISTOGRAM,
        "From the capture of a picture to its encoded packet.",
        _maybe(lambda c: c.latency),
    ),
    Metric(
        "encode_seconds",
        Kind.HISTOGRAM,
        "Time to encode one picture.",
        _maybe(lambda c: c.encode),
    ),
    Metric(
        "vp8_encoding",
        Kind.GAUGE,
        "1 while the camera is encoded in VP8 as well, for viewers without H.264.",
        _one(lambda c: float(c.vp8)),
    ),
    Metric(
        "output_bytes_total",
        Kind.COUNTER,
        "Bytes sent to viewers and media servers, by protocol.",
        _each((*PROTOCOLS, *PUSHES), lambda c: c.output_bytes),
        ("protocol",),
    ),
    Metric(
        "viewers",
        Kind.GAUGE,
        "Viewers connected now, by protocol.",
        _each(PROTOCOLS, lambda c: c.viewers),
        ("protocol",),
    ),
    Metric(
        "push_up",
        Kind.GAUGE,
        "1 while a media server takes the camera's stream; absent where nothing is pushed.",
        _pushed(lambda push: [((), float(push.state is PushState.UP))]),
    ),
    Metric(
        "push_failures_total",
        Kind.COUNTER,
        "Pushes that failed or ended, by reason; absent where nothing is pushed.",
        _pushed(_each([fault.value for fault in PushFault], lambda push: push.failures)),
        ("reason",),
    ),
    Metric(
        "probe_frames_total",
        Kind.COUNTER,
        "Published pictures that the leak probe looked at, or was to look at, by result.",
        _each(PROBED, lambda c: c.probed),
        ("result",),
    ),
    Metric(
        "probe_residual_faces_total",
        Kind.COUNTER,
        "Faces that the leak probe found outside the masks of published pictures.",
        _one(lambda c: c.residual_faces),
    ),
    Metric(
        "record_state",
        Kind.GAUGE,
        "1 for what becomes of the camera's recording, 0 for the others.",
        _now(RecordState, lambda c: c.record.state),
        ("state",),
    ),
    Metric(
        "record_written_bytes_total", Kind.COUNTER, "Bytes written into recordings.", _one(lambda c: c.record.written)
    ),
    Metric(
        "record_failures_total",
        Kind.COUNTER,
        "Times that a recording ended, or could not begin, because of its disk, by reason.",
        _each([fault.value for fault in RecordFault], lambda c: c.record.failures),
        ("reason",),
    ),
    Metric(
        "record_lost_frames_total",
        Kind.COUNTER,
        "Pictures that are missing in recordings because the disk was too slow, or failed under them.",
        _one(lambda c: c.record.lost),
    ),
    Metric(
        "record_deleted_total",
        Kind.COUNTER,
        "Recordings that were deleted, by reason.",
        _each(RECORD_DELETED, lambda c: c.record.deleted),
        ("reason",),
    ),
    Metric("record_segments", Kind.GAUGE, "Recordings on disk.", _one(lambda c: c.record.segments)),
    Metric("record_size_bytes", Kind.GAUGE, "Bytes that recordings take on disk.", _one(lambda c: c.record.size)),
    Metric(
        "record_oldest_timestamp_seconds",
        Kind.GAUGE,
        "Unix time at which the oldest recording begins; 0 without any.",
        _one(lambda c: c.record.oldest or 0.0),
    ),
)
"""Each has the label `camera` in front of its own."""

INFERENCE_METRICS: tuple[Metric[InferenceStatus], ...] = (
    Metric(
        "inference_seconds",
        Kind.HISTOGRAM,
        "Time of one batch in each stage of the detector; total holds everything.",
        lambda i: [((stage,), histogram) for stage, histogram in i.stages.items()],
        ("stage",),
    ),
    Metric(
        "inference_batch_size",
        Kind.HISTOGRAM,
        "Pictures in one batch.",
        _one(lambda i: i.batch_size),
    ),
    Metric(
        "inference_queue_wait_seconds",
        Kind.HISTOGRAM,
        "Time that a picture waits for its batch.",
        _one(lambda i: i.queue_wait),
    ),
    Metric(
        "inference_queue_length",
        Kind.GAUGE,
        "Pictures that wait for the detector now.",
        _one(lambda i: i.queue_length),
    ),
    Metric(
        "inference_failures_total",
        Kind.COUNTER,
        "Pictures for which the detector gave no answer to believe; they were concealed.",
        _one(lambda i: i.failures),
    ),
    Metric(
        "canary_failures_total",
        Kind.COUNTER,
        "Batches that were not believed, because the known face that rode along was not found.",
        _one(lambda i: i.canary_failures),
    ),
)

EVENT_LOOP_LAG: Metric[HistogramSnapshot] = Metric(
    "event_loop_lag_seconds",
    Kind.HISTOGRAM,
    "How late the event loop came round, looked at twenty times a second.",
    _one(lambda lag: lag),
)
"""Everything but pictures goes through the loop: above some tens of milliseconds, viewers see it."""


@dataclass(frozen=True, slots=True)
class Build:
    """What runs here."""

    version: str
    provider: str
    ffmpeg: str


BUILD_INFO: Metric[Build] = Metric(
    "build_info",
    Kind.GAUGE,
    "Always 1; the labels say which version runs, and on what.",
    lambda build: [((build.version, build.provider, build.ffmpeg), 1.0)],
    ("version", "provider", "ffmpeg"),
)


LOGINS: Metric[Mapping[str, int]] = Metric(
    "logins_failed_total",
    Kind.COUNTER,
    "Wrong passwords and tokens of viewers, by where they were tried.",
    lambda counts: [((listener,), float(counts.get(listener, 0))) for listener in LISTENERS],
    ("protocol",),
)


FAILED: Metric[Mapping[str, int]] = Metric(
    "viewers_failed_total",
    Kind.COUNTER,
    "Viewers that lost their connection by a defect of this program, by protocol; the log says more.",
    _each(("webrtc", "rtsp"), lambda counts: counts),
    ("protocol",),
)


STRAY = ("unknown", "unsigned", "crowded", "malformed", "silent", "slow", "unsent")
"""Why the ports that all browsers share drop a datagram or a connection."""

STRAYS: Metric[Mapping[str, int]] = Metric(
    "webrtc_dropped_total",
    Kind.COUNTER,
    "Datagrams and connections dropped at the ports that all browsers share, by reason.",
    _each(STRAY, lambda counts: counts),
    ("reason",),
)


def declared() -> Iterator[tuple[str, Kind, tuple[str, ...], str]]:
    """(full name, type, labels, meaning) of every metric of ours, in the order of the exposition."""
    yield BUILD_INFO.full_name, BUILD_INFO.kind, BUILD_INFO.labels, BUILD_INFO.help
    yield LOGINS.full_name, LOGINS.kind, LOGINS.labels, LOGINS.help
    yield FAILED.full_name, FAILED.kind, FAILED.labels, FAILED.help
    yield STRAYS.full_name, STRAYS.kind, STRAYS.labels, STRAYS.help
    for camera in CAMERA_METRICS:
        yield camera.full_name, camera.kind, ("camera", *camera.labels), camera.help
    for inference in INFERENCE_METRICS:
        yield inference.full_name, inference.kind, inference.labels, inference.help
    yield EVENT_LOOP_LAG.full_name, EVENT_LOOP_LAG.kind, EVENT_LOOP_LAG.labels, EVENT_LOOP_LAG.help
