"""What a detector is, whatever network it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from faceanond.config.model import DetectOptions
from faceanond.errors import DetectionError
from faceanond.frames import Expected, Face, RawFrame
from faceanond.stats import HistogramSnapshot


@dataclass(frozen=True, slots=True)
class DetectRequest:
    """One frame and what its camera asks for."""

    frame: RawFrame
    options: DetectOptions
    expected: tuple[Expected, ...] | None = None
    """Where a tracker expects faces: the detector looks there more closely, and also answers with faces that it is not
    sure of. None without a tracker."""


TOO_MANY = "too_many_faces"
"""The reason of a DetectionError that is the picture's fault and says nothing about the detector's health."""

Answer = tuple[Face, ...] | DetectionError
"""For one frame: its faces, or why this frame alone, and no other of the batch, gets no answer."""


def too_many(places: int, most: int) -> DetectionError:
    """Refuses a picture that is a trick or a poster, and would take the time of every other camera."""
    return DetectionError(TOO_MANY, f"{places} places in one picture look like a face; at most {most} are read")


class DeviceLostError(DetectionError):
    """The device will never answer again in this process; only a restart helps."""

    def __init__(self, message: str) -> None:
        super().__init__("device_lost", message)


class Detector(Protocol):
    """Finds faces. Used by one thread at a time; every method blocks."""

    @property
    def name(self) -> str:
        """The network, or several of them: "mtcnn", "mtcnn+yunet"."""
        ...

    @property
    def provider(self) -> str:
        """What it runs on: "cpu", "cuda" or "tensorrt"."""
        ...

    def warm_up(self) -> None:
        """Pays first-run costs before the first real frame."""
        ...

    def detect(self, requests: Sequence[DetectRequest]) -> list[Answer]:
        """The answer for each frame, in the order of the requests; independent of the batch's other frames.

        Raises DetectionError, or anything else, when no answer can be believed: the caller conceals those frames.
        """
        ...

    def stage_seconds(self) -> Mapping[str, HistogramSnapshot]:
        """Time by stage: "total", and what else a detector tells apart. May be called from another thread."""
        ...

    def close(self) -> None:
        """Frees the sessions."""
        ...
