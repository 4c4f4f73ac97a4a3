"""Pictures for these tests, and what the tests need to say about them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.anonymise.planes import Planes
from faceanond.config.model import Anonymise, Zone
from faceanond.frames import Box, ColourMatrix, Detections, Face, FrameId, RawFrame
from tests.conftest import FakeClock

CAMERA = "lobby"


def noise(rows: int, columns: int, seed: int) -> NDArray[np.uint8]:
    """Every pixel different from its neighbours, in limited range."""
    return np.random.default_rng(seed).integers(16, 236, (rows, columns), np.uint8)


def raw(
    width: int = 64,
    height: int = 48,
    *,
    seed: int = 0,
    index: int = 0,
    generation: int = 1,
    full_range: bool = False,
    suspect: str | None = None,
    captured: float = 1000.0,
) -> RawFrame:
    """A frame of noise with padded rows and read-only planes, as a decoder leaves them."""
    half = (height + 1) // 2, (width + 1) // 2
    y = noise(height, width + 13, seed)[:, :width]
    u = noise(half[0], half[1] + 5, seed + 1)[:, : half[1]]
    v = noise(half[0], half[1] + 5, seed + 2)[:, : half[1]]
    return of_planes(
        y, u, v, index=index, generation=generation, full_range=full_range, suspect=suspect, captured=captured
    )


def of_planes(
    y: NDArray[np.uint8],
    u: NDArray[np.uint8],
    v: NDArray[np.uint8],
    *,
    index: int = 0,
    generation: int = 1,
    full_range: bool = False,
    suspect: str | None = None,
    captured: float = 1000.0,
) -> RawFrame:
    for plane in (y, u, v):
        plane.flags.writeable = False
    return RawFrame(
        id=FrameId(CAMERA, generation, index),
        y=y,
        u=u,
        v=v,
        full_range=full_range,
        matrix=ColourMatrix.BT601,
        captured=captured,
        pts=index / 25,
        suspect=suspect,
    )


def found(frame: RawFrame, *boxes: tuple[float, float, float, float], score: float = 0.9) -> Detections:
    """Detections of that very frame."""
    return Detections(frame.id, tuple(Face(Box(*box), score) for box in boxes))


def anonymiser(clock: FakeClock | None = None, *, zones: tuple[Zone, ...] = (), **settings: object) -> Anonymiser:
    """One without a legend, unless the settings name one."""
    chosen = Anonymise.model_validate({"legend": (), **settings})
    return Anonymiser(CAMERA, chosen, zones, clock=clock or FakeClock())


def planes_of(frame: AnonymisedFrame) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """(y, u, v) of a published frame."""
    planes = Planes.empty(frame.width, frame.height)
    planes.i420[:] = frame.i420
    return planes.y, planes.u, planes.v


def plain(frame: RawFrame) -> NDArray[np.uint8]:
    """The I420 picture with nothing hidden; np.pad is the reference for odd sizes. Limited range only."""
    y = np.pad(frame.y, ((0, frame.height % 2), (0, frame.width % 2)), mode="edge")
    return np.concatenate([y.ravel(), frame.u.ravel(), frame.v.ravel()]).reshape(y.shape[0] * 3 // 2, y.shape[1])
