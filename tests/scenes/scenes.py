"""The scenes. Each is a thing that happens in front of a camera and has shown faces before."""

from __future__ import annotations

from tests.scenes.drawing import Pose
from tests.scenes.scene import HEIGHT, WIDTH, Path, Scene

LEVEL = HEIGHT * 0.42
"""The row of most faces: far enough from the barcode that no mask reaches it."""


def walk(start: float, speed: float, *, shutter: float = 0.2, **pose: object) -> Path:
    """A face that goes sideways by `speed` pixels a frame; `shutter` is the share of a frame for which it is open."""
    return lambda number: Pose(start + speed * number, LEVEL, blur=(speed * shutter, 0.0), **pose)  # type: ignore[arg-type]


def stand(x: float = WIDTH / 2, **pose: object) -> Path:
    return lambda number: Pose(x, LEVEL, **pose)  # type: ignore[arg-type]


def rolling(most: float) -> Path:
    """Upright, then on one side for a second, then upright again, as somebody does who looks under a table."""

    def path(number: int) -> Pose:
        away = min(max(number - 8, 0), max(45 - number, 0))
        return Pose(170 + 1.5 * number, LEVEL, roll=min(most, most / 6 * away))

    return path


def _approaches(number: int) -> Pose:
    return Pose(WIDTH / 2 + 20, LEVEL, height=46 + 2 * number)


def _after_the_cut(number: int) -> Pose | None:
    return Pose(260 - number, LEVEL, height=90) if number >= 15 else None


def _before_the_cut(number: int) -> Pose | None:
    return Pose(120 + 2 * number, LEVEL) if number < 15 else None


ALL = (
    Scene("stands", (stand(),), length=20),
    Scene("walks", (walk(90, 4),)),
    Scene("approaches", (_approaches,)),
    Scene("two side by side", (walk(90, 1), walk(300, -1, mirrored=True))),
    Scene("a cut to a face", (_after_the_cut,), wall=lambda number: 1 if number < 15 else 2),
    Scene("a cut away from a face", (_before_the_cut,), wall=lambda number: 1 if number < 15 else 2),
    Scene("a cut from face to face", (_before_the_cut, _after_the_cut), wall=lambda number: 1 if number < 15 else 2),
    Scene("passes behind a post", (walk(80, 5),), length=50, posts=((180, 216),)),
    Scene("runs", (walk(-60, 16, shutter=1.0),), length=34),
    Scene("rolls by 40 degrees", (rolling(40.0),), length=55),
    Scene("rolls by 75 degrees", (rolling(75.0),), length=55),
    Scene("two cross", (walk(120, 4), walk(280, -4, mirrored=True))),
    Scene("two of different sizes cross", (walk(120, 4, height=64), walk(280, -4, height=96, mirrored=True))),
    Scene("leaves through the edge", (walk(250, 5),)),
    Scene("comes in through the edge", (walk(-40, 5),)),
    Scene("contrast dips", (stand(),), contrast=lambda number: 0.06 if 15 <= number < 20 else 1.0),
    Scene(
        "a cut to a face in the dark",
        (_after_the_cut,),
        wall=lambda number: 1 if number < 15 else 2,
        contrast=lambda number: 0.06 if 15 <= number < 19 else 1.0,
    ),
)
NEEDS_TRACKS: frozenset[str] = frozenset()
"""Scenes that still show a face. Strictly expected to fail: a scene that passes must be taken out."""
