"""Status snapshots as JSON, for pages, the `status` command and scripts; docs/reference/http.md lists the fields."""

from __future__ import annotations

from typing import Any

from faceanond.stats import HistogramSnapshot
from faceanond.status import CameraStatus, PushStatus, RecordStatus


def camera_json(status: CameraStatus) -> dict[str, Any]:
    """One camera. Times are Unix seconds, durations seconds, sizes pixels; counters count since the start."""
    dropped: dict[str, dict[str, int]] = {}
    for (stage, reason), count in status.dropped.items():
        dropped.setdefault(stage, {})[reason] = count
    return {
        "name": status.name,
        "state": status.state.value,
        "source": status.source,
        "codec": status.codec,
        "width": status.width,
        "height": status.height,
        "fps": round(status.fps, 2),
        "captured": status.captured,
        "published": {verdict.value: count for verdict, count in status.published.items()},
        "dropped": dropped,
        "reconnects": dict(status.reconnects),
        "last_frame": status.last_frame,
        "last_error": status.last_error,
        "retry_in": None if status.retry_in is None else round(status.retry_in, 1),
        "faces_detected": status.faces_detected,
        "faces_current": status.faces_current,
        "tracks_coasting": status.tracks_coasting,
        "latency": mean(status.latency),
        "encode": mean(status.encode),
        "output_bytes": dict(status.output_bytes),
        "viewers": dict(status.viewers),
        "vp8": status.vp8,
        "overload": status.overload.value,
        "push": None if status.push is None else _push_json(status.push),
        "fail_closed": status.fail_closed,
        "fail_closed_seconds": {reason: round(seconds, 3) for reason, seconds in status.fail_closed_seconds.items()},
        "recording": _recording_json(status.record),
    }


def _recording_json(status: RecordStatus) -> dict[str, Any]:
    return {
        "state": status.state.value,
        "last_error": status.last_error,
        "segments": status.segments,
        "bytes": status.size,
        "oldest": status.oldest,
        "written": status.written,
        "lost": status.lost,
        "failures": dict(status.failures),
        "deleted": dict(status.deleted),
    }


def _push_json(push: PushStatus) -> dict[str, Any]:
    return {
        "state": push.state.value,
        "since": push.since,
        "url": push.url,
        "last_error": push.last_error,
        "retry_in": None if push.retry_in is None else round(push.retry_in, 1),
        "failures": dict(push.failures),
    }


def mean(histogram: HistogramSnapshot | None) -> float | None:
    """The mean of all observations since the start, in seconds; None without any."""
    if histogram is None or histogram.count == 0:
        return None
    return round(histogram.total / histogram.count, 6)
