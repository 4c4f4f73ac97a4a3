"""The text that Prometheus reads, made from the rows of `observe/catalogue`. The only importer of prometheus_client.

A scrape reads snapshots that the pipelines keep in memory: no camera, viewer or thread is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from faceanond.observe.catalogue import (
    BUILD_INFO,
    CAMERA_METRICS,
    EVENT_LOOP_LAG,
    FAILED,
    INFERENCE_METRICS,
    LOGINS,
    STRAYS,
    Build,
)
from faceanond.observe.rows import Kind, Metric, S, Samples
from faceanond.stats import HistogramSnapshot
from faceanond.status import CameraStatus, InferenceStatus

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Metrics:
    """The /metrics page. `cameras`, `inference` and `loop_lag` give snapshots from memory; each scrape calls each once.
    `logins` gives the wrong logins since the start, by protocol, `failed` the viewers that a defect cut off, by
    protocol, `strays` what the shared media ports dropped, by reason.

    `scrape` writes in `executor`, which stays its owner's.
    """

    def __init__(
        self,
        cameras: Callable[[], Iterable[CameraStatus]],
        inference: Callable[[], InferenceStatus | None],
        loop_lag: Callable[[], HistogramSnapshot],
        *,
        version: str,
        ffmpeg: str,
        executor: Executor,
        logins: Callable[[], Mapping[str, int]] = dict,
        failed: Callable[[], Mapping[str, int]] = dict,
        strays: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._cameras = cameras
        self._inference = inference
        self._logins = logins
        self._failed = failed
        self._strays = strays
        self._loop_lag = loop_lag
        self._version = version
        self._ffmpeg = ffmpeg
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        GCCollector(registry=self._process)
        self._executor = executor

    def render(self, accept: str | None = None) -> tuple[bytes, str]:
        """(body, content type) in the form that the Accept header prefers: Prometheus text or OpenMetrics.

        Takes nearly a millisecond a camera and reads /proc, so code on the event loop awaits `scrape` instead.
        """
        return self._expose(self._snapshot(), accept)

    async def scrape(self, accept: str | None = None) -> tuple[bytes, str]:
        """The same: snapshots are taken here on the loop, their text is made by the executor."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._expose, self._snapshot(), accept)

    def _snapshot(self) -> Snapshot:
        inference = self._inference()
        provider = inference.provider if inference is not None else "none"
        build = Build(self._version, provider, self._ffmpeg)
        counts = dict(self._logins()), dict(self._failed()), dict(self._strays())
        return Snapshot(tuple(self._cameras()), inference, self._loop_lag(), build, *counts, self._process)

    @staticmethod
    def _expose(snapshot: Snapshot, accept: str | None) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept or "")
        registry = CollectorRegistry()
        registry.register(snapshot)
        return encode(registry), content_type


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot(Collector):
    """Everything that one scrape tells."""

    cameras: Sequence[CameraStatus]
    inference: InferenceStatus | None
    loop_lag: HistogramSnapshot
    build: Build
    logins: Mapping[str, int]
    failed: Mapping[str, int]
    strays: Mapping[str, int]
    process: CollectorRegistry

    def collect(self) -> Iterator[Family]:
        yield _family(BUILD_INFO, BUILD_INFO.labels, BUILD_INFO.read(self.build))
        yield _family(LOGINS, LOGINS.labels, LOGINS.read(self.logins))
        yield _family(FAILED, FAILED.labels, FAILED.read(self.failed))
        yield _family(STRAYS, STRAYS.labels, STRAYS.read(self.strays))
        for metric in CAMERA_METRICS:
            samples = (
                ((status.name, *labels), value) for status in self.cameras for labels, value in metric.read(status)
            )
            yield _family(metric, ("camera", *metric.labels), samples)
        if self.inference is not None:
            for inference in INFERENCE_METRICS:
                yield _family(inference, inference.labels, inference.read(self.inference))
        yield _family(EVENT_LOOP_LAG, (), EVENT_LOOP_LAG.read(self.loop_lag))
        yield from self.process.collect()  # type: ignore[misc]


def _family(metric: Metric[S], labels: tuple[str, ...], samples: Samples) -> Family:
    """The library's form of one row, filled."""
    if metric.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.full_name, metric.help, labels=labels)
        for values, snapshot in samples:
            assert isinstance(snapshot, HistogramSnapshot)
            histogram.add_metric(values, _buckets(snapshot), snapshot.total)
        return histogram
    make = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = make(metric.full_name, metric.help, labels=labels)
    for values, number in samples:
        assert not isinstance(number, HistogramSnapshot)
        family.add_metric(values, number)
    return family


def _buckets(snapshot: HistogramSnapshot) -> list[tuple[str, float]]:
    bounds = [*(repr(float(bound)) for bound in snapshot.bounds), "+Inf"]
    return list(zip(bounds, snapshot.cumulative, strict=True))
