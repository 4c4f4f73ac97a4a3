"""The labels of a clip: which face is where in which frame. Every mistake in a file is told, each with its place."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from faceanond.errors import Problem, TruthError
from faceanond.frames import Box

LARGEST = 256 * 1024 * 1024
"""Bytes of a label file at most: two million faces."""
SLACK = 1.0
"""Pixels by which a box may reach over the picture's edge: a rounding, not a label of another size."""

_Word = TypeVar("_Word", bound=StrEnum)


class Visibility(StrEnum):
    """How well a face can be seen; leaks are counted apart."""

    CLEAR = "clear"
    HARD = "hard"


class Kind(StrEnum):
    """What a label stands for: a face, or a picture of one, which counts neither as miss nor as false alarm."""

    FACE = "face"
    PRINT = "print"


@dataclass(frozen=True, slots=True)
class Label:
    """One labelled face in one frame; `box` is tight, in pixels of the decoded picture."""

    frame: int
    track: int
    box: Box
    visibility: Visibility
    kind: Kind

    @property
    def side(self) -> float:
        """The shorter side, in pixels."""
        return min(self.box.width, self.box.height)


@dataclass(frozen=True, slots=True)
class Truth:
    """The labels of the first `frames` frames. A frame without a label shows no face."""

    frames: int
    labels: Sequence[Label]

    def by_frame(self) -> dict[int, list[Label]]:
        """The labels of each frame that has any."""
        found: dict[int, list[Label]] = {}
        for label in self.labels:
            found.setdefault(label.frame, []).append(label)
        return found


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What the labels must fit. `frames` is how many can be decoded."""

    sha256: str
    width: int
    height: int
    frames: int


def read_truth(path: Path, clip: ClipFacts) -> Truth:
    """Reads the labels of a clip. Raises TruthError with every mistake. Blocks on the file."""
    return parse_truth(_content(path), str(path), clip)


def parse_truth(content: object, name: str, clip: ClipFacts) -> Truth:
    """The labels in a decoded JSON document. `name` is the file's, for messages. Raises TruthError."""
    checked = _Checked(name)
    if not isinstance(content, dict):
        raise TruthError([Problem(name, "", f"expected an object with frames and faces, not {_kind(content)}")])
    if content.get("sha256") not in (None, clip.sha256):
        checked.note("sha256", f"these are the labels of another clip; this one's SHA-256 is {clip.sha256}")
    for key, actual in (("width", clip.width), ("height", clip.height)):
        if checked.whole(content, key, key) not in (None, actual):
            checked.note(key, f"is {content[key]}, but the clip's pictures are {clip.width}x{clip.height}")
    frames = checked.whole(content, "frames", "frames")
    if frames is not None and not 1 <= frames <= clip.frames:
        checked.note("frames", f"is {frames}, but the clip has {clip.frames}")
    faces = content.get("faces")
    labels: list[Label] = []
    if isinstance(faces, list):
        for number, face in enumerate(faces):
            label = checked.label(face, f"faces[{number}]", frames, clip)
            if label is not None:
                labels.append(label)
    else:
        checked.note("faces", "is missing" if faces is None else f"expected a list, not {_kind(faces)}")
    if checked.problems or frames is None:
        raise TruthError(checked.problems)
    return Truth(frames, labels)


def _content(path: Path) -> object:
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except FileNotFoundError:
        raise TruthError([Problem(str(path), "", "there is no such file")]) from None
    except OSError as error:
        raise TruthError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from None
    if len(raw) > LARGEST:
        raise TruthError([Problem(str(path), "", f"is larger than {LARGEST >> 20} MiB")])
    try:
        return json.loads(raw.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise TruthError([Problem(f"{path}:{error.lineno}", "", f"is not JSON: {error.msg}")]) from None
    except UnicodeDecodeError:
        raise TruthError([Problem(str(path), "", "is not JSON: not UTF-8 text")]) from None
    except (RecursionError, ValueError):
        raise TruthError([Problem(str(path), "", "is not JSON: nested too deeply, or a number without end")]) from None


class _Checked:
    """Takes values out of the document and notes what is wrong with them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen: set[tuple[int, int]] = set()
        self.problems: list[Problem] = []

    def note(self, key: str, message: str) -> None:
        self.problems.append(Problem(self._name, key, message))

    def whole(self, table: Mapping[str, object], key: str, place: str) -> int | None:
        value = table.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self.note(place, "is missing" if value is None else f"expected a whole number, not {_shown(value)}")
        return None

    def label(self, face: object, place: str, frames: int | None, clip: ClipFacts) -> Label | None:
        """The label, or None when there is something to note about it."""
        if not isinstance(face, dict):
            self.note(place, f"expected an object, not {_kind(face)}")
            return None
        before = len(self.problems)
        frame = self.whole(face, "frame", f"{place}.frame")
        if frame is not None and frames is not None and not 0 <= frame < frames:
            self.note(f"{place}.frame", f"is {frame}, but the labelled frames are 0 to {frames - 1}")
        track = self.whole(face, "track", f"{place}.track")
        box = self._box(face.get("box"), f"{place}.box", clip)
        visibility = self._word(face, "visibility", place, Visibility)
        kind = self._word(face, "kind", place, Kind)
        if frame is None or track is None or box is None or visibility is None or kind is None:
            return None
        if (frame, track) in self._seen:
            self.note(place, f"track {track} has two boxes in frame {frame}")
        self._seen.add((frame, track))
        return Label(frame, track, box, visibility, kind) if len(self.problems) == before else None

    def _box(self, value: object, place: str, clip: ClipFacts) -> Box | None:
        if not isinstance(value, list) or len(value) != 4 or not all(_is_number(number) for number in value):
            what = "is missing" if value is None else f"expected four numbers [x1, y1, x2, y2], not {_shown(value)}"
            self.note(place, what)
            return None
        try:
            numbers = [float(number) for number in value]
        except OverflowError:
            numbers = [math.inf]
        if not all(map(math.isfinite, numbers)):
            self.note(place, f"is not finite: {_shown(value)}")
            return None
        box = Box(*numbers)
        if box.x1 >= box.x2 or box.y1 >= box.y2:
            self.note(place, f"has no area: {_shown(value)}")
            return None
        if min(box.x1, box.y1) < -SLACK or box.x2 > clip.width + SLACK or box.y2 > clip.height + SLACK:
            self.note(place, f"reaches out of the {clip.width}x{clip.height} picture: {_shown(value)}")
            return None
        return box

    def _word(self, face: Mapping[str, object], key: str, place: str, words: type[_Word]) -> _Word | None:
        value = face.get(key)
        if isinstance(value, str) and value in set(words):
            return words(value)
        expected = " or ".join(f'"{word}"' for word in words)
        self.note(f"{place}.{key}", f"expected {expected}, not {_shown(value)}" if value is not None else "is missing")
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
