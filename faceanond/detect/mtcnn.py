"""MTCNN's cascade over a batch of frames: P-Net proposes, R-Net refines, O-Net decides.

Rule: frames share the networks' runs, never their results. P-Net runs over stacked levels of equal size, R- and O-Net
over the crops of all frames in chunks of bounded size; each answer goes back to the frame that asked.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from faceanond.config.model import DetectOptions
from faceanond.detect import boxes as geometry
from faceanond.detect.boxes import CELL, STRIDE, Boxes, Scores
from faceanond.detect.graphs import CHANNELS
from faceanond.detect.protocol import TOO_MANY, DetectRequest
from faceanond.detect.pyramid import Level, Picture, levels
from faceanond.errors import DetectionError
from faceanond.frames import Box, ColourMatrix, Face, FrameId, RawFrame
from faceanond.stats import SECONDS, Histogram, HistogramSnapshot

_LEVEL_OVERLAP = 0.5
_PYRAMID_OVERLAP = 0.7
_REFINED_OVERLAP = 0.7
_FINAL_OVERLAP = 0.6
"""Limits of the four suppressions; the last one is measured against the smaller box."""

_STACK_PIXELS = 1 << 19
"""Pixels in one run of P-Net at most: its largest tensor holds 64 bytes for each."""
_CROPS = {"cpu": 16}
_MOST_CROPS = 256
"""Crops in one run: on a CPU what its second-level cache holds, on a GPU what keeps it busy."""

Tensor = NDArray[np.float32]
_T = TypeVar("_T")


class Runner(Protocol):
    """A network that can be run (`session.Network`)."""

    def run(self, batch: Tensor) -> Tensor:
        """(n, 3, h, w) RGB in 0..255 to (n, 5, ...)."""
        ...


@dataclass(frozen=True, slots=True)
class Networks:
    """The cascade's three networks."""

    pnet: Runner
    rnet: Runner
    onet: Runner


@dataclass(slots=True)
class _Job:
    """One frame on its way through the cascade."""

    frame: RawFrame
    options: DetectOptions
    picture: Picture
    boxes: Boxes = field(default_factory=lambda: np.empty((0, 4)))
    scores: Scores = field(default_factory=lambda: np.empty(0))


_MOST_CELLS = 8192
"""Cells of one level that P-Net may fire on: a crowd of a hundred faces fires on a few thousand."""
_MOST_PROPOSALS = 1024
"""Squares of one frame that R-Net looks at: three times the densest real crowd that was measured. Beyond, the picture
is a trick or a poster, and would take the time of every other camera; it is refused, and so concealed."""


class Mtcnn:
    """The `Detector` with MTCNN's networks."""

    name = "mtcnn"

    def __init__(self, networks: Networks, provider: str) -> None:
        self.provider = provider
        self._networks: Networks | None = networks
        self._crops = _CROPS.get(provider, _MOST_CROPS)
        self._times = {stage: Histogram(*SECONDS) for stage in ("pnet", "rnet", "onet", "total")}

    def warm_up(self) -> None:
        """Runs each network once, in the sizes of a 1280x720 camera."""
        self.detect([DetectRequest(_grey(1280, 720), DetectOptions())])
        networks = self._open()
        networks.rnet.run(np.zeros((self._crops, 3, 24, 24), np.float32))
        networks.onet.run(np.zeros((self._crops, 3, 48, 48), np.float32))

    def detect(self, requests: Sequence[DetectRequest]) -> list[tuple[Face, ...]]:
        """See `Detector.detect`. Reasons of its DetectionError: nan, shape, too_many_faces, detector_failed,
        device_lost, closed."""
        networks = self._open()
        if not requests:
            return []
        jobs = [_Job(request.frame, request.options, Picture(request.frame)) for request in requests]
        with self._timed("total"):
            with self._timed("pnet"):
                self._propose(networks.pnet, jobs)
            with self._timed("rnet"):
                self._refine(networks.rnet, jobs)
            with self._timed("onet"):
                self._decide(networks.onet, jobs)
        return [_faces(job) for job in jobs]

    def stage_seconds(self) -> Mapping[str, HistogramSnapshot]:
        """Time by stage, a batch counting once. Cropping and suppression belong to the network that they serve."""
        return {stage: histogram.snapshot() for stage, histogram in self._times.items()}

    def close(self) -> None:
        """Frees the sessions."""
        self._networks = None

    def _open(self) -> Networks:
        if self._networks is None:
            raise DetectionError("closed", "the detector has been closed")
        return self._networks

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._times[stage].observe(time.perf_counter() - start)

    def _propose(self, pnet: Runner, jobs: Sequence[_Job]) -> None:
        """Fills each job with the squares that may hold a face."""
        stacks: dict[tuple[int, int], list[tuple[int, Level]]] = defaultdict(list)
        for index, job in enumerate(jobs):
            for level in levels(*job.frame.size, job.options.min_size, job.options.scale_factor):
                stacks[level.width, level.height].append((index, level))
        found: list[list[tuple[Boxes, Scores, Boxes]]] = [[] for _ in jobs]
        for (width, height), members in stacks.items():
            for part in _chunks(members, max(1, _STACK_PIXELS // (width * height))):
                pictures = np.empty((len(part), 3, height, width), np.float32)
                for (index, level), out in zip(part, pictures, strict=True):
                    jobs[index].picture.level(level, out)
                answers = _in_strips(pnet, pictures)
                _check(answers, (len(part), CHANNELS, _cells(height), _cells(width)), "P-Net")
                for (index, level), answer in zip(part, answers, strict=True):
                    found[index].append(_proposals(answer, level.scale, jobs[index].options.network_thresholds[0]))
        for job, proposals in zip(jobs, found, strict=True):
            if proposals:
                cells, scores, corrections = (np.concatenate(column) for column in zip(*proposals, strict=True))
                kept = geometry.suppressed(cells, scores, _PYRAMID_OVERLAP)
                _refuse_more_than(_MOST_PROPOSALS, len(kept))
                _keep(job, geometry.squared(geometry.corrected(cells[kept], corrections[kept])), scores[kept])

    def _refine(self, rnet: Runner, jobs: Sequence[_Job]) -> None:
        for job, answers in zip(jobs, self._classified(rnet, jobs, 24, "R-Net"), strict=True):
            boxes, scores, corrections = _passed(job, answers, job.options.network_thresholds[1])
            kept = geometry.suppressed(boxes, scores, _REFINED_OVERLAP)
            _keep(job, geometry.squared(geometry.corrected(boxes[kept], corrections[kept])), scores[kept])

    def _decide(self, onet: Runner, jobs: Sequence[_Job]) -> None:
        for job, answers in zip(jobs, self._classified(onet, jobs, 48, "O-Net"), strict=True):
            threshold = max(job.options.network_thresholds[2], job.options.score_threshold)
            boxes, scores, corrections = _passed(job, answers, threshold)
            boxes = geometry.corrected(boxes, corrections)
            kept = geometry.suppressed_by_smaller(boxes, scores, _FINAL_OVERLAP)
            _keep(job, boxes[kept], scores[kept])

    def _classified(self, network: Runner, jobs: Sequence[_Job], side: int, name: str) -> list[Tensor]:
        """The network's answers for each job's boxes, in the jobs' order."""
        crops = [job.picture.crops(job.boxes, side) for job in jobs]
        answers: list[Tensor] = [np.empty((0, CHANNELS), np.float32)]
        pooled = np.concatenate(crops)
        for start in range(0, len(pooled), self._crops):
            part = pooled[start : start + self._crops]
            answer = network.run(part)
            _check(answer, (len(part), CHANNELS), name)
            answers.append(answer)
        ends = np.cumsum([len(job.boxes) for job in jobs])
        return np.split(np.concatenate(answers), ends[:-1])


def _cells(pixels: int) -> int:
    """P-Net's cells along a side: 3x3, pool of 2 rounding up, 3x3, 3x3."""
    return (pixels - 2 + 1) // 2 - 4


def _in_strips(pnet: Runner, pictures: Tensor) -> Tensor:
    """P-Net's answers for the stack; a level larger than one run may be goes through strip by strip, with the same
    answers: strips share the 10 rows of pixels that cells on either side look at."""
    height, width = pictures.shape[2:]
    rows, at_once = _cells(height), max(1, _STACK_PIXELS // (STRIDE * width))
    if rows <= at_once:
        return pnet.run(pictures)
    parts: list[Tensor] = []
    for first in range(0, rows, at_once):
        last = first + at_once
        end = height if last >= rows else STRIDE * last + CELL - STRIDE
        parts.append(pnet.run(np.ascontiguousarray(pictures[:, :, STRIDE * first : end])))
    return np.concatenate(parts, axis=2)


def _proposals(answer: Tensor, scale: float, threshold: float) -> tuple[Boxes, Scores, Boxes]:
    """(cells, scores, corrections) of one level, after its own suppression."""
    rows, columns = np.nonzero(answer[0] > _logit(threshold))
    _refuse_more_than(_MOST_CELLS, len(rows))
    scores = answer[0, rows, columns].astype(np.float64)
    cells = geometry.cell_boxes(columns, rows, scale)
    corrections = answer[1:, rows, columns].T.astype(np.float64)
    kept = geometry.suppressed(cells, scores, _LEVEL_OVERLAP)
    return cells[kept], scores[kept], corrections[kept]


def _refuse_more_than(most: int, candidates: int) -> None:
    if candidates > most:
        raise DetectionError(TOO_MANY, f"{candidates} places in one picture look like a face; at most {most} are read")


def _passed(job: _Job, answers: Tensor, threshold: float) -> tuple[Boxes, Scores, Boxes]:
    passed = answers[:, 0] > _logit(threshold)
    return job.boxes[passed], answers[passed, 0].astype(np.float64), answers[passed, 1:].astype(np.float64)


def _keep(job: _Job, boxes: Boxes, scores: Scores) -> None:
    inside = geometry.touching(boxes, *job.frame.size)
    job.boxes, job.scores = boxes[inside], scores[inside]


def _faces(job: _Job) -> tuple[Face, ...]:
    probabilities = 1 / (1 + np.exp(-job.scores))
    return tuple(Face(Box(*box), score) for box, score in zip(job.boxes.tolist(), probabilities.tolist(), strict=True))


def _logit(probability: float) -> float:
    """The class score difference that stands for a probability: comparing there saves the exponentials."""
    if not 0 < probability < 1:
        return -math.inf if probability <= 0 else math.inf
    return math.log(probability / (1 - probability))


def _check(answers: Tensor, shape: tuple[int, ...], name: str) -> None:
    """Refuses what no healthy network answers: NaN would compare as "no face"."""
    if answers.shape != shape:
        raise DetectionError("shape", f"{name} answered with shape {answers.shape}, expected {shape}")
    # One number that is not finite makes the sum so too, and no finite answers come near float32's limit.
    if not math.isfinite(float(answers.sum())):
        raise DetectionError("nan", f"{name} answered with numbers that are not finite")


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _grey(width: int, height: int) -> RawFrame:
    chroma = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    return RawFrame(
        id=FrameId("warm-up", 0, 0),
        y=np.full((height, width), 128, np.uint8),
        u=chroma,
        v=chroma,
        full_range=False,
        matrix=ColourMatrix.BT601,
        captured=0.0,
        pts=0.0,
    )
