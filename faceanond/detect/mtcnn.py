"""MTCNN's cascade over a batch of frames: P-Net proposes, R-Net refines, O-Net decides.

Rule: frames share the networks' runs, never their results. P-Net runs over the levels of all frames, R- and O-Net over
the crops of all frames in chunks of bounded size; each answer goes back to the frame that asked. Where there are 8-bit
copies of the networks (see `networks`), they look first.
"""

from __future__ import annotations

import math
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
from faceanond.detect.guided import Place, any_turns, expected_turns, look_again
from faceanond.detect.native import Classifier
from faceanond.detect.networks import ANSWERS, Answers, ByteNetworks, FloatNetworks, Pixels, Runner, ask, logit
from faceanond.detect.picture import Picture
from faceanond.detect.proposals import Look, propose_bytes, propose_dense, spread
from faceanond.detect.protocol import Answer, DetectRequest, too_many
from faceanond.detect.pyramid import levels
from faceanond.errors import DetectionError
from faceanond.frames import Box, ColourMatrix, Expected, Face, FrameId, RawFrame
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

_HINTS = (0.6, 0.3, 0.1)
"""The scores in P-, R- and O-Net from which something is a hint, where a tracker asks for hints."""
_SAME = 0.3
"""Intersection over the smaller box from which a place needs no closer look, since a face was found there."""
_MOST_DOUBTFUL = 16
"""Candidates below R-Net's threshold that go on to O-Net in one frame of 640x360, the best first."""
_MOST_LOST = 8
"""Expected places in one frame of 640x360 that get a closer look, in the order in which they are named: a crowd that is
lost all at once must not take the other cameras' time."""
_MOST_HINTS = 3
"""Hints in one frame of 640x360 that get a closer look, the best first."""


@dataclass(slots=True)
class _Job:
    """One frame on its way through the cascade."""

    frame: RawFrame
    options: DetectOptions
    expected: tuple[Expected, ...] | None
    picture: Picture
    boxes: Boxes = field(default_factory=lambda: np.empty((0, 4)))
    scores: Scores = field(default_factory=lambda: np.empty(0))
    certain: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """Which boxes R-Net let through by its own threshold; the others are there for a tracker only."""
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
        self._times = {stage: Histogram(*SECONDS) for stage in ("pnet", "rnet", "onet", "guided", "total")}

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
        jobs = [_Job(r.frame, r.options, r.expected, Picture(r.frame)) for r in requests]
        with self._timed("total"):
            with self._timed("pnet"):
                self._propose(networks.pnet, jobs)
            with self._timed("rnet"):
                self._refine(networks.rnet, jobs)
            with self._timed("onet"):
                self._decide(networks.onet, jobs)
            answers = [_faces(job) for job in jobs]
            if any(job.expected is not None for job in jobs):
                with self._timed("guided"):
                    answers = self._look_again(networks, jobs, answers)
        return answers

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
        thresholds = [logit(_least(job, job.options.network_thresholds[0], _HINTS[0])) for job in jobs]
        looks = [
            [Look(index, job.picture.level(level), threshold) for level in pyramid]
            for index, (job, pyramid, threshold) in enumerate(zip(jobs, pyramids, thresholds, strict=True))
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
        pooled = _Pool(jobs, 24, [_least(job, job.options.network_thresholds[1], _HINTS[1]) for job in jobs])
        answers, exact = self._classified(pooled.crops, rnet, self._quick.rnet if self._quick else None, "R-Net")
        scores = answers[:, 0]
        own = np.array([logit(job.options.network_thresholds[1]) for job in jobs])[pooled.of]
        # Also what would be close without a tracker: with one, nothing else may be certain.
        close = ~exact & (np.minimum(np.abs(scores - pooled.thresholds), np.abs(scores - own)) < MARGIN)
        answers[close] = ask(rnet, pooled.crops[close], "R-Net")
        passed = scores > pooled.thresholds
        for job, mine in zip(jobs, pooled.parts(passed), strict=True):
            kept = mine[geometry.suppressed(pooled.boxes[mine], scores[mine], _REFINED_OVERLAP)]
            certain = scores[kept] > own[kept]  # they come first
            kept = kept[: int(certain.sum()) + _share(_MOST_DOUBTFUL, job)]
            refined = geometry.squared(geometry.corrected(pooled.boxes[kept], answers[kept, 1:]))
            _keep(job, refined, scores[kept], certain[: len(kept)])

    def _decide(self, onet: Runner, jobs: Sequence[_Job]) -> None:
        pooled = _Pool(jobs, 48, [_final_threshold(job) for job in jobs])
        certain = np.concatenate([job.certain for job in jobs])
        answers, exact = self._classified(pooled.crops, onet, self._quick.onet if self._quick else None, "O-Net")
        scores, boxes = answers[:, 0], geometry.corrected(pooled.boxes, answers[:, 1:])
        best: list[NDArray[np.intp]] = []
        for candidates in (certain, ~certain):
            passed = candidates & (scores > np.where(exact, pooled.thresholds, pooled.thresholds - MARGIN))
            # Whatever would be reported is asked of the float network first, until nothing else comes to the top.
            while True:
                found = [
                    mine[geometry.suppressed_by_smaller(boxes[mine], scores[mine], _FINAL_OVERLAP)]
                    for mine in pooled.parts(passed)
                ]
                asked = np.concatenate(found)
                asked = asked[~exact[asked]]
                if not len(asked):
                    break
                answers[asked] = ask(onet, pooled.crops[asked], "O-Net")
                boxes[asked] = geometry.corrected(pooled.boxes[asked], answers[asked, 1:])
                passed[asked] = scores[asked] > pooled.thresholds[asked]
                exact[asked] = True
            best = found if not best else [np.concatenate(pair) for pair in zip(best, found, strict=True)]
        hints = pooled.parts(scores > logit(_HINTS[2]))
        for job, sure, near in zip(jobs, best, hints, strict=True):
            if job.expected is None:
                _keep(job, boxes[sure], scores[sure])
                continue
            # What the search without a tracker finds comes first, then what else is sure, then hints: nothing that a
            # tracker adds may take its place.
            order = np.concatenate([sure, near[~np.isin(near, sure)]])
            rank = np.concatenate([1e6 - np.arange(len(sure)), scores[order[len(sure) :]]])
            kept = geometry.suppressed_by_smaller(boxes[order], rank, _FINAL_OVERLAP)
            _keep(job, boxes[order[kept]], scores[order[kept]])

    def _look_again(self, networks: FloatNetworks, jobs: Sequence[_Job], answers: Sequence[Answer]) -> list[Answer]:
        """The answers, and what a closer look finds where a track expects a face, or where the cascade had a hint."""
        asked: list[tuple[int, Expected | Face]] = []
        for index, (job, answer) in enumerate(zip(jobs, answers, strict=True)):
            if job.expected is None or isinstance(answer, DetectionError):
                continue
            sure = [face.box for face in answer if face.sure]
            picture = Box(0.0, 0.0, job.frame.width, job.frame.height)
            lost = [one for one in job.expected if one.box.held_by(picture) > 0 and not _covered(one.box, sure)]
            lost = lost[: _share(_MOST_LOST, job)]
            around = [*sure, *(one.box for one in lost)]
            hints = [face for face in answer if not face.sure and not _covered(face.box, around)]
            asked += [(index, one) for one in lost]
            asked += [(index, hint) for hint in hints[: _share(_MOST_HINTS, job)]]
        places = [
            Place(jobs[i].picture, at.box, expected_turns(at.turn), around=True)
            if isinstance(at, Expected)
            else Place(jobs[i].picture, at.box, any_turns(), around=False)
            for i, at in asked
        ]
        quick = self._quick
        seen = look_again(
            places,
            quick.rnet.classify if quick else lambda crops: ask(networks.rnet, crops, "R-Net"),
            quick.onet.classify if quick else lambda crops: ask(networks.onet, crops, "O-Net"),
            lambda crops: ask(networks.onet, crops, "O-Net"),
            min((logit(_final_threshold(jobs[i])) for i, _ in asked), default=0.0) - MARGIN if quick else math.inf,
        )
        more: list[list[Face]] = [[] for _ in jobs]
        for (index, at), sight in zip(asked, seen, strict=True):
            threshold = _final_threshold(jobs[index])
            if sight.score > logit(_HINTS[2]):
                more[index].append(
                    Face(
                        sight.box,
                        _probability(sight.score),
                        sure=sight.score > logit(threshold),
                        guided=True,
                        turn=sight.turn,
                        track=at.track,
                    )
                )
        return [
            answer if isinstance(answer, DetectionError) else (*answer, *found)
            for answer, found in zip(answers, more, strict=True)
        ]

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
        self.of = np.repeat(np.arange(len(jobs)), [len(job.boxes) for job in jobs])
        self.boxes = np.concatenate([job.boxes for job in jobs])
        self.crops = np.concatenate([job.picture.crops(job.boxes, side) for job in jobs])
        self.thresholds = np.array([logit(threshold) for threshold in thresholds])[self.of]
        self._jobs = len(jobs)

    def parts(self, wanted: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
        """The places in the pool that are wanted, by job."""
        places = np.flatnonzero(wanted)
        return np.split(places, np.searchsorted(self.of[places], np.arange(1, self._jobs)))


def _keep(job: _Job, boxes: Boxes, scores: Scores | Answers, certain: NDArray[np.bool_] | None = None) -> None:
    inside = geometry.touching(boxes, *job.frame.size)
    job.boxes, job.scores = boxes[inside], scores[inside].astype(np.float64)
    job.certain = np.ones(len(job.boxes), np.bool_) if certain is None else certain[inside]


def _faces(job: _Job) -> Answer:
    if job.refused is not None:
        return job.refused
    probabilities = 1 / (1 + np.exp(-job.scores))
    sure = job.scores > logit(_final_threshold(job))
    return tuple(map(Face, (Box(*box) for box in job.boxes.tolist()), probabilities.tolist(), sure.tolist()))


def _final_threshold(job: _Job) -> float:
    return max(job.options.network_thresholds[2], job.options.score_threshold)


def _share(most: int, job: _Job) -> int:
    """What a frame of that size may have of something that is limited: a large one shows more, at a larger cost."""
    return round(most * min(max(math.sqrt(job.frame.width * job.frame.height / (640 * 360)), 1.0), 4.0))


def _least(job: _Job, threshold: float, hint: float) -> float:
    """The score that keeps a candidate: a tracker also wants hints."""
    return threshold if job.expected is None else min(threshold, hint)


def _covered(box: Box, others: Sequence[Box]) -> bool:
    """Whether one of the others is the same face as far as anybody can tell."""
    return any(box.shares(other) > _SAME for other in others)


def _probability(score: float) -> float:
    return 1 / (1 + math.exp(-score))


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
