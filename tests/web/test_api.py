from __future__ import annotations

import json

from faceanond.frames import Verdict
from faceanond.stats import Histogram
from faceanond.status import (
    CameraState,
    CameraStatus,
    OverloadState,
    PushState,
    PushStatus,
    RecordState,
    RecordStatus,
)
from faceanond.web.api import camera_json, mean


def test_a_camera_with_everything_is_plain_json() -> None:
    histogram = Histogram(0.1, 1.0)
    histogram.observe(0.05)
    histogram.observe(0.25)
    status = CameraStatus(
        name="lobby",
        state=CameraState.LIVE,
        source="rtsp://10.0.0.12/stream1",
        fps=24.99871,
        overload=OverloadState.REDUCED,
        published={Verdict.MASKED: 3},
        dropped={("capture", "late"): 2, ("capture", "size"): 1, ("stream", "slow"): 4},
        latency=histogram.snapshot(),
        fail_closed_seconds={"timeout": 1.23456},
        push=PushStatus(
            state=PushState.RETRYING,
            since=1_700_000_000.0,
            url="rtsp://media/lobby",
            last_error="no connection",
            retry_in=1.2345,
            failures={"timeout": 2},
        ),
    )
    shown = json.loads(json.dumps(camera_json(status)))
    assert shown["state"] == "live"
    assert shown["overload"] == "reduced"
    assert shown["fps"] == 25.0
    assert shown["published"] == {"masked": 3}
    assert shown["dropped"] == {"capture": {"late": 2, "size": 1}, "stream": {"slow": 4}}
    assert shown["latency"] == 0.15
    assert shown["fail_closed_seconds"] == {"timeout": 1.235}
    assert shown["push"] == {
        "state": "retrying",
        "since": 1_700_000_000.0,
        "url": "rtsp://media/lobby",
        "last_error": "no connection",
        "retry_in": 1.2,
        "failures": {"timeout": 2},
    }


def test_a_camera_that_is_not_pushed_has_no_push() -> None:
    assert camera_json(CameraStatus(name="yard", state=CameraState.LIVE, source="demo:"))["push"] is None


def test_a_histogram_without_observations_has_no_mean() -> None:
    assert mean(None) is None
    assert mean(Histogram(1.0).snapshot()) is None


def test_a_cameras_recording_is_told() -> None:
    record = RecordStatus(
        state=RecordState.FAILING, last_error="no space", size=10, oldest=5.5, failures={"full": 2}, deleted={"age": 1}
    )
    status = CameraStatus(name="lobby", state=CameraState.LIVE, source="demo:", record=record)
    assert json.loads(json.dumps(camera_json(status)))["recording"] == {
        "state": "failing",
        "last_error": "no space",
        "segments": 0,
        "bytes": 10,
        "oldest": 5.5,
        "written": 0,
        "lost": 0,
        "failures": {"full": 2},
        "deleted": {"age": 1},
    }
