"""Counts what became of the labelled faces: by size and visibility, with the longest time that one could be seen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from faceanond.evaluate.truth import Label, Visibility
from faceanond.frames import Verdict

COVERED = 0.7
"""Share of a labelled box that must be hidden; below, the face has leaked. Labels are good to 5 % of the face's size,
and an ellipse inscribed in a box fills 79 % of it."""


@dataclass(frozen=True, slots=True)
class SizeClass:
    """Faces whose shorter side is at least `smallest` and less than `limit` pixels."""

    smallest: float
    limit: float

    def __contains__(self, side: float) -> bool:
        return self.smallest <= side < self.limit

    def __str__(self) -> str:
        if math.isinf(self.limit):
            return f"over {self.smallest:g}"
        return f"{self.smallest:g}-{self.limit:g}" if self.smallest else f"under {self.limit:g}"


SIZES = (SizeClass(0, 20), SizeClass(20, 40), SizeClass(40, 80), SizeClass(80, math.inf))
SEEN = 20.0
"""Pixels: a clear face from this size on must not leak; it is the figure to watch."""


def size_class(side: float) -> SizeClass:
    """The class of a face with that shorter side."""
    return next(size for size in SIZES if side in size)


@dataclass(frozen=True, slots=True)
class FaceFrame:
    """One labelled face in one frame: which share of its box was hidden, and whether with the whole picture.

    `spilt` is the area in pixels that was hidden for its sake outside all labelled faces and their margins.
    """

    label: Label
    covered: float
    concealed: bool = False
    spilt: int = 0

    @property
    def leaked(self) -> bool:
        return self.covered < COVERED

    @property
    def area(self) -> float:
        return self.label.box.width * self.label.box.height


@dataclass(frozen=True, slots=True)
class Leak:
    """A track that leaked in every one of some consecutive frames."""

    faces: Sequence[FaceFrame]

    @property
    def track(self) -> int:
        return self.faces[0].label.track

    @property
    def first(self) -> int:
        return self.faces[0].label.frame

    @property
    def last(self) -> int:
        return self.faces[-1].label.frame

    @property
    def clear(self) -> int:
        """In how many of its frames the face could be seen clearly."""
        return sum(face.label.visibility is Visibility.CLEAR for face in self.faces)

    @property
    def size(self) -> SizeClass:
        """Of the largest that was to be seen."""
        return size_class(max(face.label.side for face in self.faces))


@dataclass(frozen=True, slots=True)
class Row:
    """A class of faces. `longest` is the most frames in which one of them leaked without a break; `over` the area
    hidden around them, in areas of theirs (None without a face)."""

    face_frames: int
    concealed: int
    leaked: int
    longest: int
    over: float | None

    @property
    def share(self) -> float | None:
        """Of the face-frames that leaked; None without one."""
        return self.leaked / self.face_frames if self.face_frames else None


@dataclass(slots=True)
class Tally:
    """The sums over all judged frames. Areas are in pixels; those of frames concealed as a whole are not in them."""

    faces: list[FaceFrame] = field(default_factory=list)
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    masked: int = 0
    over: int = 0
    elsewhere: int = 0
    """The part of `over` that belongs to no labelled face: false alarms."""
    concealed: int = 0
    """Frames that were hidden as a whole."""
    shares: float = 0.0
    """Sum of the masked shares of all pictures; those of concealed ones count as 1."""

    @property
    def frames(self) -> int:
        return self.verdicts.total()

    @property
    def face_area(self) -> float:
        """Of the labelled faces in frames that were not concealed."""
        return sum(face.area for face in self.faces if not face.concealed)

    @property
    def masked_to_faces(self) -> float | None:
        """What was masked, in areas of the labelled faces; None without a face."""
        return _ratio(self.masked, self.face_area)

    @property
    def over_masking(self) -> float | None:
        return _ratio(self.over, self.face_area)

    @property
    def elsewhere_to_faces(self) -> float | None:
        return _ratio(self.elsewhere, self.face_area)

    @property
    def picture_share(self) -> float:
        """Of the pictures, how much was masked on average."""
        return self.shares / self.frames if self.frames else 0.0

    def row(self, wanted: Callable[[FaceFrame], bool]) -> Row:
        """The figures of the faces that are wanted."""
        faces = [face for face in self.faces if wanted(face)]
        area = sum(face.area for face in faces if not face.concealed)
        return Row(
            face_frames=len(faces),
            concealed=sum(face.concealed for face in faces),
            leaked=sum(face.leaked for face in faces),
            longest=max((sum(map(wanted, leak.faces)) for leak in self.leaks()), default=0),
            over=_ratio(sum(face.spilt for face in faces), area),
        )

    def leaks(self) -> list[Leak]:
        """Every leak, the worst first: the most clear frames, then the most frames."""
        return sorted(_leaks(self.faces), key=lambda leak: (-leak.clear, -len(leak.faces), leak.first, leak.track))


def seen_clearly(face: FaceFrame) -> bool:
    """Clear, and large enough that it must not leak."""
    return face.label.visibility is Visibility.CLEAR and face.label.side >= SEEN


def _ratio(area: float, faces: float) -> float | None:
    return area / faces if faces else None


def _leaks(faces: Sequence[FaceFrame]) -> Iterator[Leak]:
    """A frame in which the track is covered, or not there at all, ends a leak. Turning hard to see or passing into
    another size does not: the same person is still to be seen."""
    run: list[FaceFrame] = []
    for face in sorted(faces, key=lambda face: (face.label.track, face.label.frame)):
        follows = run and (face.label.track, face.label.frame) == (run[-1].label.track, run[-1].label.frame + 1)
        if run and not (follows and face.leaked):
            yield Leak(run)
            run = []
        if face.leaked:
            run.append(face)
    if run:
        yield Leak(run)
