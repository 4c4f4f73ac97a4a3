"""A closer look at places where a face may be: because a track expects one, or because the cascade was nearly sure.

The cascade misses faces that are turned, dark or blurred. At one place we can afford what would cost too much all over
the picture: R-Net looks at the place in several sizes and turns and with its contrast restored, O-Net at the best of
those. On faces that the cascade had missed, of which it was told the place to a fifth of their size, that finds 30 to
97 % with a score above 0.7, and two in 395 places without a face (docs/design/tracking.md).

A place is drawn once, as a patch of twice its length; everything else is cut from that patch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.detect.picture import Picture, Pixels
from faceanond.frames import Box

Classify = Callable[[Pixels], NDArray[np.float32]]
"""Crops (n, side, side, 4) to answers (n, 5)."""

QUARTER = 48
"""Pixels along a quarter of a patch, which shows the place's own length."""
_BEST = 4
"""Crops of a place that O-Net looks at."""
_CONTRAST, _BRIGHTNESS, _MOST_GAIN = 45.0, 115.0, 5.0
"""What a patch's standard deviation and mean are brought to when it has less contrast than that."""
_SIZES = (0.9, 1.25)
_TURN = math.radians(18)
_STEPS = (-0.2, 0.0, 0.2)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: in which picture, at which box, turned by which angles (radians), and how far around."""

    picture: Picture
    box: Box
    turns: tuple[float, ...]
    around: bool


@dataclass(frozen=True, slots=True)
class Sight:
    """The most face-like thing at a place: its score as a log-odds, its box, and how it was turned."""

    score: float
    box: Box
    turn: float


def expected_turns(turn: float) -> tuple[float, ...]:
    """The angles to try for a face that was last seen turned by that: heads roll, but not at once."""
    near = {turn - _TURN, turn, turn + _TURN, 0.0}
    return tuple(sorted(angle for angle in near if abs(angle) < math.radians(75)))


def any_turns() -> tuple[float, ...]:
    """The angles to try where nothing is known."""
    return tuple(_TURN * step for step in (-2, -1, 0, 1, 2))


def look_again(places: Sequence[Place], rnet: Classify, onet: Classify, exact: Classify, doubt: float) -> list[Sight]:
    """What is at each place. `exact` is the float O-Net; it has the last word where O-Net's score is above `doubt`."""
    if not places:
        return []
    patches = [_Patch(place) for place in places]
    tried = [patch.tried() for patch in patches]
    answers = rnet(np.concatenate([patch.cut(squares, 24) for patch, squares in zip(patches, tried, strict=True)]))
    best = []
    for squares, answered in zip(tried, _split(answers, tried), strict=True):
        chosen = np.argsort(-answered[:, 0], kind="stable")[:_BEST]
        best.append(_squared(squares[chosen], answered[chosen]))
    answers = onet(np.concatenate([patch.cut(squares, 48) for patch, squares in zip(patches, best, strict=True)]))
    first = [int(answered[:, 0].argmax()) for answered in _split(answers, best)]
    top = [squares[[one]] for squares, one in zip(best, first, strict=True)]
    final = np.stack([answered[one] for answered, one in zip(_split(answers, best), first, strict=True)])
    close = np.flatnonzero(final[:, 0] > doubt)
    if len(close):
        final[close] = exact(np.concatenate([patches[i].cut(top[i], 48) for i in close]))
    return [patch.sight(squares[0], answer) for patch, squares, answer in zip(patches, top, final, strict=True)]


def _split(answers: NDArray[np.float32], parts: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float32]]:
    return np.split(answers, np.cumsum([len(part) for part in parts])[:-1])


def _moved(squares: NDArray[np.float64], answers: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """The corrected boxes of turned squares: centres x and y, widths and heights (along the turned axes)."""
    x1, y1, x2, y2 = answers[:, 1] - 0.5, answers[:, 2] - 0.5, answers[:, 3] + 0.5, answers[:, 4] + 0.5
    across, down = (x1 + x2) / 2 * squares[:, 2], (y1 + y2) / 2 * squares[:, 2]
    cos, sin = np.cos(squares[:, 3]), np.sin(squares[:, 3])
    return (
        squares[:, 0] + cos * across - sin * down,
        squares[:, 1] + sin * across + cos * down,
        (x2 - x1) * squares[:, 2],
        (y2 - y1) * squares[:, 2],
    )


def _squared(squares: NDArray[np.float64], answers: NDArray[np.float32]) -> NDArray[np.float64]:
    x, y, width, height = _moved(squares, answers)
    length = np.clip(np.maximum(width, height), 0.5 * squares[:, 2], 1.5 * squares[:, 2])
    return np.stack([x, y, length, squares[:, 3]], axis=1)


class _Patch:
    """A place, drawn. Squares are (n, 4): centre x and y in lengths of the place from its centre, length in the same
    unit, and the turn."""

    def __init__(self, place: Place) -> None:
        self._place = place
        box = place.box
        self._x, self._y = box.centre
        self._length = max(box.width, box.height, 8.0)
        left, top = self._x - self._length, self._y - self._length
        quarters = np.array([(left + i * self._length, top + j * self._length) for j in (0, 1) for i in (0, 1)])
        drawn = place.picture.crops(np.concatenate([quarters, quarters + self._length], axis=1), QUARTER)
        patch = drawn.reshape(2, 2, QUARTER, QUARTER, 4).swapaxes(1, 2).reshape(2 * QUARTER, 2 * QUARTER, 4)
        self._fine = _restored(patch)
        self._coarse = cv2.resize(self._fine, (QUARTER, QUARTER), interpolation=cv2.INTER_AREA)

    def tried(self) -> NDArray[np.float64]:
        """The squares that R-Net looks at."""
        steps = _STEPS if self._place.around else (0.0,)
        return np.array(
            [(dx, dy, size, turn) for size in _SIZES for turn in self._place.turns for dx in steps for dy in steps]
        )

    def cut(self, squares: NDArray[np.float64], side: int) -> Pixels:
        """The squares as pictures of that side, upright: (n, side, side, 4)."""
        source = self._coarse if side <= QUARTER // 2 else self._fine
        unit = source.shape[0] / 2  # pixels along the place's length
        crops = np.empty((len(squares), side, side, 4), np.uint8)
        scale = squares[:, 2] * unit / side
        cos, sin = np.cos(squares[:, 3]) * scale, np.sin(squares[:, 3]) * scale
        middle = (side - 1) / 2
        left = (squares[:, 0] + 1) * unit - 0.5 - (cos - sin) * middle
        top = (squares[:, 1] + 1) * unit - 0.5 - (sin + cos) * middle
        maps = np.stack([cos, -sin, left, sin, cos, top], axis=1).reshape(-1, 2, 3)
        for crop, matrix in zip(crops, maps, strict=True):
            cv2.warpAffine(
                source,
                matrix,
                (side, side),
                crop,
                cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                cv2.BORDER_REPLICATE,
            )
        return crops

    def sight(self, square: NDArray[np.float64], answer: NDArray[np.float32]) -> Sight:
        """What O-Net says of a square, in pixels of the input. The box is upright and holds a turned face nearly
        whole: half-way between the face's own sides and those around its corners."""
        x, y, width, height = (float(value[0]) for value in _moved(square[None], answer[None]))
        cos, sin = abs(math.cos(square[3])), abs(math.sin(square[3]))
        across = (width + cos * width + sin * height) / 2 * self._length
        down = (height + sin * width + cos * height) / 2 * self._length
        x, y = self._x + x * self._length, self._y + y * self._length
        box = Box(x - across / 2, y - down / 2, x + across / 2, y + down / 2)
        return Sight(float(answer[0]), box, float(square[3]))


def _restored(patch: Pixels) -> Pixels:
    """The patch with more contrast when its middle has little, and with its brightness in the middle of the range."""
    middle = patch[QUARTER // 2 : -QUARTER // 2, QUARTER // 2 : -QUARTER // 2, 1]
    mean, spread = (float(value[0, 0]) for value in cv2.meanStdDev(middle))
    if spread >= _CONTRAST:
        return patch
    gain = min(_CONTRAST / max(spread, 1.0), _MOST_GAIN)
    target = mean if 90 <= mean <= 150 else _BRIGHTNESS
    table = np.clip(gain * (np.arange(256) - mean) + target, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(patch, table), dtype=np.uint8)
