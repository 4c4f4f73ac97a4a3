"""What a recording's file is called: `NAME/2026-11-27/NAME-20261127T033000.123Z.mp4`. Pure.

The rule: a file is ours only if its camera's folder, its day's folder and its own name agree to the letter. Nothing
else is ever listed, changed or deleted. While a file is being written, `.part` follows its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from faceanond.config.model import CAMERA_NAME

PART = ".part"
Wanted = Callable[[str], bool]
_CAMERA = re.compile(CAMERA_NAME.removesuffix("$"))
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_STAMP = re.compile(r"([0-9]{8}T[0-9]{6})\.([0-9]{3})Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = int((datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH).total_seconds()) * 1000


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """One recording: its camera, and when it starts in milliseconds since 1970 (UTC). Names sort by time."""

    camera: str
    start: int

    def __post_init__(self) -> None:
        if not _CAMERA.fullmatch(self.camera) or not 0 <= self.start <= _LAST:
            raise ValueError("no recording can have such a name")

    @property
    def day(self) -> str:
        """The folder of its day, below its camera's."""
        return self._time.strftime("%Y-%m-%d")

    @property
    def file(self) -> str:
        """The file's name, once it is finished."""
        return f"{self.camera}-{self._time.strftime('%Y%m%dT%H%M%S')}.{self.start % 1000:03d}Z.mp4"

    @property
    def part(self) -> str:
        """The file's name until then."""
        return self.file + PART

    @property
    def _time(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self.start)

    @classmethod
    def read(cls, camera: str, file: str) -> Self | None:
        """The recording of that camera with that (finished) name; None when it is no such name."""
        stamp = file.removeprefix(f"{camera}-").removesuffix(".mp4")
        match = _STAMP.fullmatch(stamp)
        if match is None:
            return None
        try:
            moment = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            name = cls(camera, int((moment - _EPOCH).total_seconds()) * 1000 + int(match[2]))
        except ValueError:
            return None
        return name if name.file == file else None


def is_camera(folder: str) -> bool:
    """Whether a folder may be a camera's."""
    return _CAMERA.fullmatch(folder) is not None


def is_day(folder: str) -> bool:
    """Whether a folder may be a day's."""
    return _DAY.fullmatch(folder) is not None
