"""Snapshots of a made-up fleet, for tests of what reads snapshots."""

from __future__ import annotations

from faceanond.frames import Verdict
from faceanond.stats import SECONDS, Histogram, HistogramSnapshot
from faceanond.status import (
    CameraState,
    CameraStatus,
    InferenceStatus,
    PushState,
    PushStatus,
    RecordState,
    RecordStatus,
)


def histogram(*values: float, bounds: tuple[float, ...] = SECONDS) -> HistogramSnapshot:
    made = Histogram(*bounds)
    for value in values:
        made.observe(value)
    return made.snapshot()


def camera(name: str, *, age: int = 1) -> CameraStatus:
    """A live camera; its counters are `age` times those of a young one."""
    return CameraStatus(
        name=name,
        state=CameraState.LIVE,
        source="rtsp://10.0.0.12/stream1",
        fps=25.0,
        captured=100 * age,
        published={Verdict.CLEAN: 30 * age, Verdict.MASKED: 60 * age, Verdict.FULL: 5 * age},
        dropped={("mailbox", "newer"): 5 * age},
        reconnects={"stalled": 2 * age},
        last_frame=1_700_000_000.0,
        faces_detected=80 * age,
        faces_current=1,
        face_sizes=histogram(*[40.0, 90.0] * age, bounds=(32.0, 64.0, 128.0)),
        latency=histogram(*[0.1, 0.2, 0.3] * age),
        encode=histogram(*[0.004, 0.005] * age),
        output_bytes={"webrtc": 5000 * age},
        viewers={"webrtc": 2, "rtsp": 1},
        fail_closed_seconds={"late": 0.5 * age},
        probed={"clear": 9 * age, "residual": age},
        residual_faces=2 * age,
        record=RecordStatus(
            state=RecordState.RECORDING,
            segments=3,
            size=9_000_000,
            oldest=1_700_000_000.0,
            written=1_000_000 * age,
            lost=3 * age,
            failures={"full": age},
            deleted={"age": 2 * age},
        ),
        push=PushStatus(
            state=PushState.UP,
            since=1_700_000_000.0,
            url=f"rtsp://media.example.org:8554/{name}",
            failures={"timeout": age},
        ),
    )


def inference(*, age: int = 1) -> InferenceStatus:
    return InferenceStatus(
        detector="mtcnn",
        provider="cpu",
        queue_length=2,
        queue_wait=histogram(*[0.003] * age),
        batch_size=histogram(*[1.0, 3.0] * age, bounds=(1.0, 2.0, 4.0, 8.0, 16.0)),
        stages={stage: histogram(*[0.01] * age) for stage in ("pnet", "rnet", "onet", "total")},
        failures=age,
        canary_failures=age,
    )
