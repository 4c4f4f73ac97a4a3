"""The cascade's networks: float32 everywhere, with 8-bit copies in front of them where the CPU is fast at those.

Rule: the 8-bit copies save work and decide nothing that is close. P-Net's close rejections and R-Net's close calls are
asked of the float networks again (what P-Net lets through too much is R-Net's to refuse), and so is every face before
it is reported. The margins are several times the spread of the errors, which docs/design/detection.md has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceanond.detect.native import Classifier, Proposer
from faceanond.detect.session import Network
from faceanond.errors import DetectionError

ANSWERS = 5
"""Numbers that each network answers: the score as a log-odds, then the four corrections of the box."""

Pixels = NDArray[np.uint8]
Answers = NDArray[np.float32]


class Runner(Protocol):
    """A float network that can be run."""

    @property
    def most(self) -> int:
        """Pictures in one run at most."""
        ...

    def warm_up(self) -> None:
        """Pays first-run costs."""
        ...

    def run(self, pictures: Pixels) -> Answers:
        """(n, rows, columns, 4) RGBX to (n, 5, ...)."""
        ...


@dataclass(frozen=True, slots=True)
class Planar:
    """A `session.Network` that wants floats, plane by plane. On a CPU numpy makes them faster than the network would.

    `side` is that of its pictures."""

    network: Network
    most: int
    side: int

    def warm_up(self) -> None:
        """See `Runner.warm_up`."""
        self.run(np.zeros((self.most, self.side, self.side, 4), np.uint8))

    def run(self, pictures: Pixels) -> Answers:
        """See `Runner.run`."""
        planes = pictures[..., :3].transpose(0, 3, 1, 2)
        return self.network.run(np.ascontiguousarray(planes, dtype=np.float32))


@dataclass(slots=True)
class FloatNetworks:
    """The cascade in float32."""

    pnet: Runner
    rnet: Runner
    onet: Runner


@dataclass(frozen=True, slots=True)
class ByteNetworks:
    """The cascade's 8-bit copies."""

    pnet: Proposer
    rnet: Classifier
    onet: Classifier


def logit(probability: float) -> float:
    """The score that stands for a probability: comparing there saves the exponentials."""
    if not 0 < probability < 1:
        return -math.inf if probability <= 0 else math.inf
    return math.log(probability / (1 - probability))


def checked(answers: Answers, shape: tuple[int, ...], name: str) -> Answers:
    """Refuses what no healthy network answers: NaN would compare as "no face"."""
    if answers.shape != shape:
        raise DetectionError("shape", f"{name} answered with shape {answers.shape}, expected {shape}")
    # One number that is not finite makes the sum so too, and no finite answers come near float32's limit.
    if not math.isfinite(float(answers.sum())):
        raise DetectionError("nan", f"{name} answered with numbers that are not finite")
    return answers


def ask(network: Runner, pictures: Pixels, name: str) -> Answers:
    """The answers for pictures that give one each, (n, 5), in runs of at most what the network takes."""
    answers = [np.empty((0, ANSWERS), np.float32)]
    for start in range(0, len(pictures), network.most):
        part = pictures[start : start + network.most]
        answers.append(checked(network.run(part).reshape(len(part), -1), (len(part), ANSWERS), name))
    return np.concatenate(answers)
