"""MTCNN's cascade over a batch of frames: P-Net proposes, R-Net refines, O-Net decides.

Rule: frames share the networks' runs, never their results. P-Net runs over the levels of all frames, R- and O-Net over
the crops of all frames in chunks of bounded size; each answer goes back to the frame that asked. Where there are 8-bit
copies of the networks (see `networks`), they look first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from faceanond.config.model import DetectOptions
from faceanond.detect import boxes as geometry
from faceanond.detect.boxes import Boxes, Scores
from faceanond.detect.native import Classifier
from faceanond.detect.networks import ANSWERS, Answers, ByteNetworks, FloatNetworks, Pixels, Runner, ask, logit
from faceanond.detect.picture import Picture
from faceanond.detect.proposals import Look, propose_bytes, propose_dense, spread
from faceanond.detect.protocol import Answer, DetectRequest, too_many
from faceanond.detect.pyramid import levels
from faceanond.errors import DetectionError
from faceanond.frames import Box, ColourMatrix, Face, FrameId, RawFrame
from faceanond.stats import SECONDS, Histogram, HistogramSnapshot

_LEVEL_OVERLAP = 0.5
_PYRAMID_OVERLAP = 0.7
_REFINED_OVERLAP = 0.7
_FINAL_OVERLAP = 0.6
"""Limits of the four suppressions; the last one is measured against the smaller box."""

MARGIN = 0.75
"""How far an 8-bit score of R- or O-Net may be wrong."""
_BYTE_CROPS = 16
"""Crops in one call of an 8-bit network: the portion that one thread takes."""

_MOST_PROPOSALS = 1024
"""Squares of one frame that R-Net looks at: three times the densest real crowd that was measured. Beyond, the picture
is a trick or a poster, and would take the time of every other camera; it is refused, and so concealed."""


@dataclass(slots=True)
class _Job:
    """One frame on its way through the cascade."""

    frame: RawFrame
    options: DetectOptions
    picture: Picture
    boxes: Boxes = field(default_factory=lambda: np.empty((0, 4)))
    scores: Scores = field(default_factory=lambda: np.empty(0))
    refused: DetectionError | None = None


class Mtcnn:
    """The `Detector` with MTCNN's networks."""

    name = "mtcnn"

    def __init__(
        self,
        networks: FloatNetworks,
        provider: str,
        *,
        quick: ByteNetworks | None = None,
        threads: int = 1,
        sheet: int | None = None,
    ) -> None:
        """`quick`: the 8-bit copies, if this machine runs them; they use `threads` threads. `sheet`: the side of the
        only pictures that the float P-Net takes; None if it takes any."""
        self.provider = provider
        self._networks: FloatNetworks | None = networks
        self._quick = quick
        self._threads = ThreadPoolExecutor(threads, "detect") if quick is not None and threads > 1 else None
        self._sheet = sheet
        self._times = {stage: Histogram(*SECONDS) for stage in ("pnet", "rnet", "onet", "total")}

    def warm_up(self) -> None:
        """Runs each network in every batch size, and a whole 1280x720 picture."""
        self.detect([DetectRequest(_grey(1280, 720), DetectOptions())])
        networks = self._open()
        for network in (networks.pnet, networks.rnet, networks.onet):
            network.warm_up()

    def detect(self, requests: Sequence[DetectRequest]) -> list[Answer]:
        """See `Detector.detect`. Reasons of its DetectionErrors: nan, shape, detector_failed, device_lost, closed; and
        too_many_faces for single frames."""
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
        """Frees the sessions and ends the threads."""
        self._networks = None
        if self._threads is not None:
            self._threads.shutdown()

    def _open(self) -> FloatNetworks:
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
        pyramids = [levels(*job.frame.size, job.options.min_size, job.options.scale_factor) for job in jobs]
        looks = [
            [Look(index, job.picture.level(level), logit(job.options.network_thresholds[0])) for level in pyramid]
            for index, (job, pyramid) in enumerate(zip(jobs, pyramids, strict=True))
        ]
        every = [look for of_one in looks for look in of_one]
        if not every:
            return
        if self._quick is not None:
            propose_bytes(every, self._quick.pnet, pnet, self._threads)
        else:
            propose_dense(every, pnet, self._sheet)
        for job, pyramid, of_one in zip(jobs, pyramids, looks, strict=True):
            if not of_one or of_one[0].refused is not None:
                job.refused = of_one[0].refused if of_one else None
                continue
            answers = np.concatenate([look.answers for look in of_one])
            level_of = np.repeat(np.arange(len(of_one)), [len(look.cells) for look in of_one])
            scales = np.array([level.scale for level in pyramid])[level_of]
            cells = geometry.cell_boxes(np.concatenate([look.cells for look in of_one]), scales)
            kept = geometry.suppressed(cells, answers[:, 0], _LEVEL_OVERLAP, level_of)
            kept = kept[geometry.suppressed(cells[kept], answers[kept, 0], _PYRAMID_OVERLAP)]
            if len(kept) > _MOST_PROPOSALS:
                job.refused = too_many(len(kept), _MOST_PROPOSALS)
                continue
            _keep(job, geometry.squared(geometry.corrected(cells[kept], answers[kept, 1:])), answers[kept, 0])

    def _refine(self, rnet: Runner, jobs: Sequence[_Job]) -> None:
        pooled = _Pool(jobs, 24, [job.options.network_thresholds[1] for job in jobs])
        answers, exact = self._classified(pooled.crops, rnet, self._quick.rnet if self._quick else None, "R-Net")
        scores = answers[:, 0]
        close = ~exact & (np.abs(scores - pooled.thresholds) < MARGIN)
        answers[close] = ask(rnet, pooled.crops[close], "R-Net")
        passed = scores > pooled.thresholds
        for job, mine in zip(jobs, pooled.parts(passed), strict=True):
            kept = mine[geometry.suppressed(pooled.boxes[mine], scores[mine], _REFINED_OVERLAP)]
            _keep(job, geometry.squared(geometry.corrected(pooled.boxes[kept], answers[kept, 1:])), scores[kept])

    def _decide(self, onet: Runner, jobs: Sequence[_Job]) -> None:
        thresholds = [max(job.options.network_thresholds[2], job.options.score_threshold) for job in jobs]
        pooled = _Pool(jobs, 48, thresholds)
        answers, exact = self._classified(pooled.crops, onet, self._quick.onet if self._quick else None, "O-Net")
        scores, boxes = answers[:, 0], geometry.corrected(pooled.boxes, answers[:, 1:])
        passed = scores > np.where(exact, pooled.thresholds, pooled.thresholds - MARGIN)
        # Whatever would be reported is asked of the float network first, until nothing else comes to the top.
        while True:
            best = [
                mine[geometry.suppressed_by_smaller(boxes[mine], scores[mine], _FINAL_OVERLAP)]
                for mine in pooled.parts(passed)
            ]
            asked = np.concatenate(best)
            asked = asked[~exact[asked]]
            if not len(asked):
                break
            answers[asked] = ask(onet, pooled.crops[asked], "O-Net")
            boxes[asked] = geometry.corrected(pooled.boxes[asked], answers[asked, 1:])
            passed[asked] = scores[asked] > pooled.thresholds[asked]
            exact[asked] = True
        for job, mine in zip(jobs, best, strict=True):
            _keep(job, boxes[mine], scores[mine])

    def _classified(
        self, crops: Pixels, network: Runner, quick: Classifier | None, name: str
    ) -> tuple[Answers, NDArray[np.bool_]]:
        """The answers for all crops, and which of them are the float network's."""
        if quick is None:
            return ask(network, crops, name), np.ones(len(crops), np.bool_)
        answers = np.empty((len(crops), ANSWERS), np.float32)

        def work(start: int) -> None:
            answers[start : start + _BYTE_CROPS] = quick.classify(crops[start : start + _BYTE_CROPS])

        spread(work, range(0, len(crops), _BYTE_CROPS), self._threads)
        return answers, np.zeros(len(crops), np.bool_)


class _Pool:
    """The crops of all jobs' boxes in one array, and whose they are."""

    def __init__(self, jobs: Sequence[_Job], side: int, thresholds: Sequence[float]) -> None:
        """`thresholds`: the probability that each job asks for."""
        self._of = np.repeat(np.arange(len(jobs)), [len(job.boxes) for job in jobs])
        self.boxes = np.concatenate([job.boxes for job in jobs])
        self.crops = np.concatenate([job.picture.crops(job.boxes, side) for job in jobs])
        self.thresholds = np.array([logit(threshold) for threshold in thresholds])[self._of]
        self._jobs = len(jobs)

    def parts(self, wanted: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
        """The places in the pool that are wanted, by job."""
        places = np.flatnonzero(wanted)
        return np.split(places, np.searchsorted(self._of[places], np.arange(1, self._jobs)))


def _keep(job: _Job, boxes: Boxes, scores: Scores | Answers) -> None:
    inside = geometry.touching(boxes, *job.frame.size)
    job.boxes, job.scores = boxes[inside], scores[inside].astype(np.float64)


def _faces(job: _Job) -> Answer:
    if job.refused is not None:
        return job.refused
    probabilities = 1 / (1 + np.exp(-job.scores))
    return tuple(Face(Box(*box), score) for box, score in zip(job.boxes.tolist(), probabilities.tolist(), strict=True))


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
