"""Detectors that look at the whole picture once (or a few times, in falling sizes) with one network.

Rule: frames share the network's runs, never their results. Pictures of equal size are stacked, whichever frames and
looks they come from; each answer goes back to the frame that asked.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.detect import boxes as geometry
from faceanond.detect.boxes import Boxes, Scores
from faceanond.detect.onnx_file import Signature
from faceanond.detect.picture import Picture
from faceanond.detect.protocol import Answer, DetectRequest, too_many
from faceanond.detect.whole import GRID, Look, looks, rgb_picture
from faceanond.errors import DetectionError, UnavailableError
from faceanond.frames import Box, Face
from faceanond.stats import SECONDS, Histogram, HistogramSnapshot

OVERLAP = 0.3
"""Intersection over union above which the weaker of two boxes goes; both networks were published with it."""
EVEN_SCORE = 0.7
"""The score that means the same of every detector: the default of `detector.score_threshold`."""

_STACK_PIXELS = {"cpu": 1 << 19}
_MOST_STACK_PIXELS = 1 << 22
"""Pixels in one run at most: CenterFace's largest tensor holds 96 bytes for each. A CPU gains nothing by more."""
_MOST_CANDIDATES = 8192
"""Places of one frame that may look like a face before suppression: a face fires on about ten. Beyond, the picture is a
trick or a poster, and would take the time of every other camera; it is refused, and so concealed."""

Tensor = NDArray[np.float32]


class Runner(Protocol):
    """A network that can be run (`session.Network`)."""

    def run(self, batch: Tensor) -> Tensor:
        """(n, 3, h, w) in 0..255 to the joined answers, (n, ...)."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """What tells one network from another.

    `even` is the network's own score that counts as EVEN_SCORE. `answer_shape(width, height)` is the shape of one
    picture's answers; `decode(answer, width, height, threshold)` gives boxes in pixels of the network's picture and the
    network's own scores in 0..1, all above the threshold.
    """

    name: str
    signature: Signature
    blue_first: bool
    even: float
    answer_shape: Callable[[int, int], tuple[int, ...]]
    decode: Callable[[Tensor, int, int, float], tuple[Boxes, Scores]]

    @property
    def _power(self) -> float:
        return math.log(EVEN_SCORE) / math.log(self.even)

    def own_threshold(self, threshold: float) -> float:
        """The network's own score that stands for a score of ours."""
        return float(threshold ** (1 / self._power))

    def score(self, own: Scores) -> Scores:
        """Scores of ours from the network's: 0 and 1 stay, `even` becomes EVEN_SCORE, the order is kept."""
        return np.asarray(own**self._power)


class SingleShot:
    """The `Detector` with one such network."""

    def __init__(self, family: Family, network: Runner, provider: str) -> None:
        self.name = family.name
        self.provider = provider
        self._family = family
        self._network: Runner | None = network
        self._stack = _STACK_PIXELS.get(provider, _MOST_STACK_PIXELS)
        self._seconds = Histogram(*SECONDS)

    def warm_up(self) -> None:
        """Runs the network once, in the size of a 1280x720 camera."""
        width, height = looks(1280, 720, 40)[0].padded
        self._answers(self._open(), np.zeros((1, 3, height, width), np.float32))

    def detect(self, requests: Sequence[DetectRequest]) -> list[Answer]:
        """See `Detector.detect`. Reasons of its DetectionErrors: nan, shape, detector_failed, device_lost, closed; and
        too_many_faces for single frames."""
        network = self._open()
        if not requests:
            return []
        with self._timed():
            frames = [Picture(request.frame) for request in requests]
            stacks: dict[tuple[int, int], list[tuple[int, Look]]] = defaultdict(list)
            for index, request in enumerate(requests):
                for look in looks(*request.frame.size, request.options.min_size):
                    stacks[look.padded].append((index, look))
            found: list[list[tuple[Boxes, Scores]]] = [[] for _ in requests]
            for (width, height), members in stacks.items():
                at_once = max(1, self._stack // (width * height))
                for start in range(0, len(members), at_once):
                    part = members[start : start + at_once]
                    answers = self._answers(network, self._drawn(frames, part, width, height))
                    for (index, look), answer in zip(part, answers, strict=True):
                        found[index].append(self._candidates(requests[index], look, answer))
            return [self._faces(request, parts) for request, parts in zip(requests, found, strict=True)]

    def stage_seconds(self) -> Mapping[str, HistogramSnapshot]:
        """The time of all, a batch counting once; a single network has no other stages."""
        return {"total": self._seconds.snapshot()}

    def close(self) -> None:
        """Frees the session."""
        self._network = None

    def _open(self) -> Runner:
        if self._network is None:
            raise DetectionError("closed", "the detector has been closed")
        return self._network

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._seconds.observe(time.perf_counter() - start)

    def _drawn(self, frames: Sequence[Picture], part: Sequence[tuple[int, Look]], width: int, height: int) -> Tensor:
        """The looks, drawn into the upper left of black pictures of that size."""
        pictures = np.zeros((len(part), 3, height, width), np.float32)
        for (index, look), out in zip(part, pictures, strict=True):
            channels = cv2.split(rgb_picture(frames[index], look))
            for channel, plane in zip(channels, out[::-1] if self._family.blue_first else out, strict=True):
                plane[: look.height, : look.width] = channel
        return pictures

    def _answers(self, network: Runner, pictures: Tensor) -> Tensor:
        """Refuses what no healthy network answers: NaN would compare as "no face"."""
        answers = network.run(pictures)
        count, _, height, width = pictures.shape
        shape = (count, *self._family.answer_shape(width, height))
        if answers.shape != shape:
            raise DetectionError("shape", f"{self.name} answered with shape {answers.shape}, expected {shape}")
        # One number that is not finite makes the sum so too, and no finite answers come near float32's limit.
        if not math.isfinite(float(answers.sum())):
            raise DetectionError("nan", f"{self.name} answered with numbers that are not finite")
        return answers

    def _candidates(self, request: DetectRequest, look: Look, answer: Tensor) -> tuple[Boxes, Scores]:
        """Boxes in pixels of the frame, before suppression."""
        threshold = self._family.own_threshold(request.options.score_threshold)
        with np.errstate(over="ignore"):  # an absurd size becomes infinite, and is refused next
            boxes, scores = self._family.decode(answer, *look.padded, threshold)
        if not np.isfinite(boxes).all():
            raise DetectionError("nan", f"{self.name} answered with a box that is not finite")
        shares = request.frame.width / look.width, request.frame.height / look.height
        return boxes * np.array(shares * 2), scores

    def _faces(self, request: DetectRequest, parts: Sequence[tuple[Boxes, Scores]]) -> Answer:
        if not parts:
            return ()
        boxes, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
        if len(boxes) > _MOST_CANDIDATES:
            return too_many(len(boxes), _MOST_CANDIDATES)
        inside = geometry.touching(boxes, *request.frame.size)
        boxes, scores = boxes[inside], scores[inside]
        kept = geometry.suppressed(boxes, scores, OVERLAP)
        even = self._family.score(scores[kept])
        return tuple(Face(Box(*box), score) for box, score in zip(boxes[kept].tolist(), even.tolist(), strict=True))


def prove(family: Family, network: Runner, where: str) -> None:
    """Lets the network answer for two small pictures, as it will have to. Raises UnavailableError naming the file."""
    side = 2 * GRID
    shape = (2, *family.answer_shape(side, side))
    try:
        answers = network.run(np.zeros((2, 3, side, side), np.float32))
    except DetectionError as error:
        raise UnavailableError(f"{where} cannot be used: {error}") from error
    if answers.shape != shape:
        raise UnavailableError(
            f"{where} is the file of another network: for two pictures of {side}x{side} it answers with shape "
            f"{answers.shape}, expected {shape}"
        )
