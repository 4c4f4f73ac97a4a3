"""Labels and judged faces for the tests of what counts them."""

from __future__ import annotations

from faceanond.evaluate.tally import FaceFrame
from faceanond.evaluate.truth import Kind, Label, Visibility
from faceanond.frames import Box


def label(
    frame: int = 0,
    *,
    track: int = 0,
    box: tuple[float, float, float, float] = (100, 60, 160, 140),
    hard: bool = False,
    is_print: bool = False,
) -> Label:
    return Label(
        frame,
        track,
        Box(*box),
        Visibility.HARD if hard else Visibility.CLEAR,
        Kind.PRINT if is_print else Kind.FACE,
    )


def face(
    frame: int = 0,
    *,
    covered: float = 0.0,
    side: float = 50,
    track: int = 0,
    hard: bool = False,
    concealed: bool = False,
    spilt: int = 0,
) -> FaceFrame:
    """A square face of that side."""
    return FaceFrame(
        label(frame, track=track, box=(10, 10, 10 + side, 10 + side), hard=hard), covered, concealed, spilt
    )


def document(**changes: object) -> dict[str, object]:
    """A good label file of `CLIP`, with these keys changed; None takes one away."""
    content: dict[str, object] = {
        "clip": "yard.mp4",
        "sha256": "ab" * 32,
        "width": 320,
        "height": 240,
        "frames": 10,
        "faces": [face_entry()],
    }
    content.update(changes)
    return {key: value for key, value in content.items() if value is not None}


def face_entry(**changes: object) -> dict[str, object]:
    entry: dict[str, object] = {
        "frame": 3,
        "track": 7,
        "box": [100.5, 60, 160, 140],
        "visibility": "clear",
        "kind": "face",
    }
    entry.update(changes)
    return {key: value for key, value in entry.items() if value is not None}
