"""What a scrape tells, in the names and types of the contract."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from faceanond.anonymise.policy import Doubt
from faceanond.errors import SourceFault
from faceanond.frames import Verdict
from faceanond.observe.catalogue import DROPS, FAIL_CLOSED, PROBED, PROTOCOLS, STRAY, declared
from faceanond.observe.metrics import Metrics
from faceanond.observe.rows import Kind
from faceanond.pipeline.probe import ProbeResult
from faceanond.publish.webrtc.protocol import Drop
from faceanond.stats import HistogramSnapshot
from faceanond.status import CameraState, CameraStatus, InferenceStatus, OverloadState
from tests.conftest import need_tool
from tests.observe.fleet import camera, histogram, inference

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
CONTRACT = set(
    """
frames_captured_total frames_published_total frames_dropped_total camera_up camera_fps camera_state
camera_reconnects_total last_frame_timestamp_seconds faces_detected_total faces_current face_size_pixels
inference_batch_size inference_seconds inference_queue_wait_seconds inference_queue_length end_to_end_latency_seconds
encode_seconds output_bytes_total viewers fail_closed fail_closed_seconds_total canary_failures_total build_info
probe_frames_total probe_residual_faces_total record_state record_failures_total record_size_bytes
record_oldest_timestamp_seconds logins_failed_total
""".split()  # noqa: SIM905 - a list of forty lines hides what it says
)
"""The names that dashboards and alerts outside this repository may rely on."""


def page(
    cameras: Iterable[CameraStatus] = (),
    detector: InferenceStatus | None = None,
    accept: str | None = None,
    lag: HistogramSnapshot | None = None,
) -> tuple[str, str]:
    """(body, content type) of /metrics."""
    with ThreadPoolExecutor(1) as executor:
        body, content_type = Metrics(
            lambda: cameras,
            lambda: detector,
            lambda: lag or histogram(),
            version="1.2.3",
            ffmpeg="8.1",
            executor=executor,
        ).render(accept)
    return body.decode(), content_type


def samples(*cameras: CameraStatus, detector: InferenceStatus | None = None) -> dict[tuple[str, frozenset[str]], float]:
    """Every sample as {(name, {"label=value", ...}): value}."""
    return {
        (sample.name, frozenset(f"{key}={value}" for key, value in sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page(cameras, detector)[0])
        for sample in family.samples
    }


def of(name: str, *labels: str) -> tuple[str, frozenset[str]]:
    return f"faceanond_{name}", frozenset(labels)


def test_every_name_of_the_contract_is_declared() -> None:
    assert {f"faceanond_{name}" for name in CONTRACT} <= {name for name, *_ in declared()}


def test_what_is_exposed_is_what_is_declared() -> None:
    body, _ = page([camera("yard")], inference())
    types = dict(re.findall(r"^# TYPE (faceanond_\S+) (\S+)$", body, re.MULTILINE))
    assert types == {name: kind.value for name, kind, *_ in declared()}
    shown: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            if family.name.startswith("faceanond_"):
                labels = {frozenset(sample.labels) - {"le"}}
                base = re.sub(r"_(bucket|count|sum)$", "", sample.name) if family.type == "histogram" else sample.name
                shown.setdefault(base, set()).update(*labels)
    assert shown == {name: set(labels) for name, _, labels, _ in declared()}


def test_counters_end_in_total_and_nothing_else_does() -> None:
    for name, kind, *_ in declared():
        assert name.endswith("_total") == (kind is Kind.COUNTER), name


@pytest.mark.parametrize("empty", [True, False], ids=["a camera that never connected", "a busy fleet"])
def test_promtool_accepts_the_exposition(empty: bool) -> None:
    promtool = need_tool("promtool")
    cameras = (
        [CameraStatus(name="new", state=CameraState.CONNECTING, source="demo:")]
        if empty
        else [camera("a"), camera("b")]
    )
    body, _ = page(cameras, None if empty else inference())
    done = subprocess.run(
        [promtool, "check", "metrics"], input=body.encode(), capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_values_come_from_the_snapshot() -> None:
    seen = samples(camera("yard"), detector=inference())
    assert seen[of("frames_captured_total", "camera=yard")] == 100
    assert seen[of("frames_published_total", "camera=yard", "verdict=masked")] == 60
    assert seen[of("frames_dropped_total", "camera=yard", "stage=mailbox", "reason=newer")] == 5
    assert seen[of("camera_reconnects_total", "camera=yard", "reason=stalled")] == 2
    assert seen[of("output_bytes_total", "camera=yard", "protocol=webrtc")] == 5000
    assert seen[of("viewers", "camera=yard", "protocol=rtsp")] == 1
    assert seen[of("probe_frames_total", "camera=yard", "result=clear")] == 9
    assert seen[of("probe_residual_faces_total", "camera=yard")] == 2
    assert seen[of("last_frame_timestamp_seconds", "camera=yard")] == 1_700_000_000
    assert seen[of("inference_queue_length")] == 2
    assert seen[of("inference_failures_total")] == 1
    assert seen[of("canary_failures_total")] == 1


def test_wrong_logins_are_told_by_listener_and_are_there_before_the_first() -> None:
    seen = samples()
    for protocol in ("http", "rtsp"):
        assert seen[of("logins_failed_total", f"protocol={protocol}")] == 0
    with ThreadPoolExecutor(1) as executor:
        counted = Metrics(
            list, lambda: None, histogram, version="1", ffmpeg="8", executor=executor, logins=lambda: {"http": 3}
        ).render()[0]
    assert b'faceanond_logins_failed_total{protocol="http"} 3.0' in counted


def test_viewers_that_a_defect_cuts_off_are_told_by_protocol_and_are_there_before_the_first() -> None:
    seen = samples()
    for protocol in ("webrtc", "rtsp"):
        assert seen[of("viewers_failed_total", f"protocol={protocol}")] == 0
    with ThreadPoolExecutor(1) as executor:
        counted = Metrics(
            list, lambda: None, histogram, version="1", ffmpeg="8", executor=executor, failed=lambda: {"rtsp": 3}
        ).render()[0]
    assert b'faceanond_viewers_failed_total{protocol="rtsp"} 3.0' in counted


def test_what_the_media_ports_drop_is_told_by_reason_and_is_there_before_the_first() -> None:
    assert set(STRAY) == set(Drop)
    seen = samples()
    assert all(seen[of("webrtc_dropped_total", f"reason={reason}")] == 0 for reason in STRAY)
    with ThreadPoolExecutor(1) as executor:
        counted = Metrics(
            list, lambda: None, histogram, version="1", ffmpeg="8", executor=executor, strays=lambda: {"unknown": 3}
        ).render()[0]
    assert b'faceanond_webrtc_dropped_total{reason="unknown"} 3.0' in counted


def test_a_histogram_is_cumulative_and_ends_with_everything() -> None:
    seen = samples(camera("yard"))
    buckets = [value for (name, _), value in seen.items() if name == "faceanond_end_to_end_latency_seconds_bucket"]
    assert buckets == sorted(buckets)
    assert seen[of("end_to_end_latency_seconds_bucket", "camera=yard", "le=+Inf")] == 3
    assert seen[of("end_to_end_latency_seconds_count", "camera=yard")] == 3
    assert seen[of("end_to_end_latency_seconds_sum", "camera=yard")] == pytest.approx(0.6)


def test_closed_sets_are_there_with_zero_before_anything_happened() -> None:
    seen = samples(CameraStatus(name="new", state=CameraState.CONNECTING, source="demo:"))
    for verdict in Verdict:
        assert seen[of("frames_published_total", "camera=new", f"verdict={verdict}")] == 0
    for fault in SourceFault:
        assert seen[of("camera_reconnects_total", "camera=new", f"reason={fault}")] == 0
    for protocol in ("webrtc", "rtsp"):
        assert seen[of("output_bytes_total", "camera=new", f"protocol={protocol}")] == 0
    assert seen[of("frames_dropped_total", "camera=new", "stage=mailbox", "reason=newer")] == 0
    assert seen[of("probe_frames_total", "camera=new", "result=residual")] == 0
    assert seen[of("fail_closed_seconds_total", "camera=new", "reason=no_signal")] == 0


@pytest.mark.parametrize("state", CameraState)
def test_exactly_one_state_holds(state: CameraState) -> None:
    seen = samples(CameraStatus(name="a", state=state, source="demo:"))
    held = {other: seen[of("camera_state", "camera=a", f"state={other}")] for other in CameraState}
    assert held == {other: float(other is state) for other in CameraState}
    assert seen[of("camera_up", "camera=a")] == (1 if state is CameraState.LIVE else 0)


@pytest.mark.parametrize("state", OverloadState)
def test_exactly_one_state_of_overload_holds(state: OverloadState) -> None:
    seen = samples(replace(camera("a"), overload=state))
    held = {other: seen[of("overload_state", "camera=a", f"state={other}")] for other in OverloadState}
    assert held == {other: float(other is state) for other in OverloadState}


def test_fail_closed_is_one_for_the_reason_that_holds_and_zero_for_those_that_are_over() -> None:
    before = replace(camera("a"), fail_closed="odd", fail_closed_seconds={"odd": 4.0, "late": 1.0})
    assert samples(before)[of("fail_closed", "camera=a", "reason=odd")] == 1
    after = samples(replace(before, fail_closed=None))
    assert after[of("fail_closed", "camera=a", "reason=odd")] == 0
    assert after[of("fail_closed_seconds_total", "camera=a", "reason=odd")] == 4
    assert not any(value for (name, _), value in after.items() if name == "faceanond_fail_closed")


def test_no_detector_is_told_as_such() -> None:
    seen = samples()
    assert seen[of("build_info", "version=1.2.3", "provider=none", "ffmpeg=8.1")] == 1
    assert not any(name.startswith("faceanond_inference") for name, _ in seen)


def test_the_provider_is_the_one_in_use() -> None:
    assert samples(detector=inference())[of("build_info", "version=1.2.3", "provider=cpu", "ffmpeg=8.1")] == 1


def test_the_process_is_measured_too() -> None:
    names = {name for name, _ in samples()}
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"} <= names
    assert "python_gc_collections_total" in names


def test_the_lag_of_the_event_loop_is_there_without_cameras_and_detector() -> None:
    body, _ = page(lag=histogram(0.0004, 0.03, 0.03))
    seen = {sample.name: sample.value for family in text_string_to_metric_families(body) for sample in family.samples}
    assert seen["faceanond_event_loop_lag_seconds_count"] == 3
    assert seen["faceanond_event_loop_lag_seconds_sum"] == pytest.approx(0.0604)


def test_a_scraper_that_prefers_openmetrics_gets_it() -> None:
    body, content_type = page([camera("a")], inference(), OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith("# EOF\n")
    assert {family.name for family in parse_openmetrics(body)} >= {"faceanond_frames_captured"}


@pytest.mark.parametrize("accept", [None, "", "*/*", "text/html", "nonsense;;;=,", "text/plain;version=0.0.4"])
def test_anybody_else_gets_plain_text(accept: str | None) -> None:
    assert page(accept=accept)[1].startswith("text/plain; version=0.0.4")


async def test_a_scrape_looks_on_the_loop_and_writes_elsewhere() -> None:
    looked: list[str] = []

    def cameras() -> list[CameraStatus]:
        looked.append(threading.current_thread().name)
        return [camera("a")]

    executor = ThreadPoolExecutor(1)
    metrics = Metrics(cameras, lambda: None, histogram, version="1", ffmpeg="8", executor=executor)
    body, content_type = await metrics.scrape(None)  # would fail here if it read /proc on the loop
    executor.shutdown(wait=False)
    assert b'faceanond_camera_up{camera="a"} 1.0' in body
    assert content_type.startswith("text/plain")
    assert looked == [threading.current_thread().name]


def test_the_reference_lists_every_metric_and_no_other() -> None:
    rows = re.findall(r"^\| `(faceanond_\w+)` \| (\w+) \| ([^|]*) \|", REFERENCE.read_text(), re.MULTILINE)
    documented = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert documented == {name: (kind.value, labels) for name, kind, labels, _ in declared()}
    assert len(rows) == len(documented), "a metric is listed twice"


def table(heading: str) -> list[tuple[str, ...]]:
    """The code words at the beginning of each row of the table after that sentence of the reference."""
    text = REFERENCE.read_text().split(heading, 1)[1].split("\n\n")[1]
    return [tuple(re.findall(r"`(\w+)` \|", line)) for line in text.splitlines()[2:]]


def test_the_reference_explains_every_reason() -> None:
    assert table("`faceanond_fail_closed_seconds_total`:") == [(reason,) for reason in FAIL_CLOSED]
    assert table("`faceanond_frames_dropped_total`:") == list(DROPS)
    assert table("`faceanond_webrtc_dropped_total` (with") == [(reason,) for reason in STRAY]
    assert table("`result`, of `faceanond_probe_frames_total`:") == [(result,) for result in PROBED]
    assert table("`verdict`, of every published picture:") == [(verdict.value,) for verdict in Verdict]
    for name in (*PROTOCOLS, *SourceFault, *CameraState, *OverloadState):
        assert f"`{name}`" in REFERENCE.read_text(), name


def test_the_anonymisers_doubts_are_among_the_known_reasons() -> None:
    assert {doubt.value for doubt in Doubt} <= set(FAIL_CLOSED)


def test_the_probes_results_are_the_known_ones() -> None:
    assert tuple(ProbeResult) == PROBED
