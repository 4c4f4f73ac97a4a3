"""Whether a published picture shows a face that the scene knows to be there.

A mask keeps at most the means of coarse cells. So the fine detail of the face (what differs from its surroundings
within less than a cell) is compared, tile by tile, with that of the raw picture: where the two agree, the raw picture
shows. It does not matter how the face was hidden or how strongly the encoder compressed it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.frames import Verdict
from tests.scenes.scene import FPS, START, Scene, TrueFace, Truth
from tests.scenes.viewer import Seen

TILES = 4
"""Along each side of a face: a tile is as large as an eye with its brow."""
DETAIL = 1 / 20
"""Of the face's height: what is smaller than about twice this is detail."""
SAME = 0.75
"""Correlation from which a tile shows the raw picture."""
ENOUGH_SHOWN = 2
"""Tiles that must show it: one alone may agree by chance."""
RECOGNISABLE = 0.3
"""Share of a face that must be visible for it to count: behind a post or half out of the picture it is nobody."""
WHOLE = (Verdict.FULL, Verdict.HELD)


@dataclass(frozen=True, slots=True)
class Leak:
    """A face that can be seen: how many tiles of it, in which frame."""

    number: int
    shown: int
    of: int
    verdict: Verdict | None

    def __str__(self) -> str:
        return f"frame {self.number} ({self.verdict}) shows {self.shown} of {self.of} tiles of a face"


class LeakedError(AssertionError):
    """A face was published. Its own type, so that no other failure of a test can pass for an expected leak."""


def assert_nothing_leaks(scene: Scene, seen: Sequence[Seen]) -> None:
    """Raises LeakedError, naming each frame."""
    if found := leaks(scene, seen):
        raise LeakedError(f"{scene.name}: " + "; ".join(map(str, found)))


def leaks(scene: Scene, seen: Sequence[Seen]) -> list[Leak]:
    """Every face that can be seen in any of the pictures. Raises AssertionError for a picture that cannot be judged."""
    found = []
    for picture in seen:
        truth = _shown_frame(scene, picture)
        if truth.frame.y.shape != picture.luma.shape:
            assert picture.verdict is Verdict.HELD, "only a held picture may have another size than the camera's"
            continue
        found += [leak for face in truth.faces if (leak := _leak(truth, face, picture)) is not None]
    return found


def _shown_frame(scene: Scene, picture: Seen) -> Truth:
    """What the picture shows, by its own number; a picture concealed as a whole has none and goes by its time."""
    if picture.number is not None:
        return scene.truth(picture.number)
    assert picture.verdict in WHOLE, f"a {picture.verdict} picture without a number"
    return scene.truth(min(max(round((picture.captured - START) * FPS), 0), scene.length - 1))


def _leak(truth: Truth, face: TrueFace, picture: Seen) -> Leak | None:
    if face.visible < RECOGNISABLE:
        return None
    likeness = tiles(truth.frame.y, picture.luma, face)
    assert likeness, f"frame {truth.number}: a face without any detail proves nothing"
    shown = sum(value >= SAME for value in likeness)
    if shown < min(ENOUGH_SHOWN, len(likeness)):
        return None
    return Leak(truth.number, shown, len(likeness), picture.verdict)


def tiles(raw: NDArray[np.uint8], published: NDArray[np.uint8], face: TrueFace) -> list[float]:
    """How much each visible tile of the face looks like the raw picture, -1 to 1."""
    mask = face.shown
    spread = max(1.5, mask.shape[0] * DETAIL)
    one, other = _detail(raw, face, spread), _detail(published, face, spread)
    rows, columns = (np.linspace(0, side, TILES + 1).astype(int) for side in mask.shape)
    result = []
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            inside = mask[top:bottom, left:right]
            if inside.size and inside.mean() >= 0.5:
                result.append(_alike(one[top:bottom, left:right][inside], other[top:bottom, left:right][inside]))
    return result


def _detail(picture: NDArray[np.uint8], face: TrueFace, spread: float) -> NDArray[np.float32]:
    """What differs from its surroundings in the face's box."""
    rows, columns = face.place
    around = int(3 * spread) + 1
    top, left = max(0, rows.start - around), max(0, columns.start - around)
    exact = picture[top : rows.stop + around, left : columns.stop + around].astype(np.float32)
    different = exact - cv2.GaussianBlur(exact, (0, 0), spread)
    return different[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def _alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / (np.sqrt((one**2).sum() * (other**2).sum()) + 1e-6))
