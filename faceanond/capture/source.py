"""What a source of pictures is. A source blocks, so it lives in a thread of its own (see `capture/thread.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from faceanond.frames import RawFrame


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a source said about itself when opened. `fps` is its own claim, 0 when unknown; `frames` and `duration`
    (seconds) are estimates of files, 0 when unknown."""

    codec: str
    width: int
    height: int
    fps: float
    live: bool
    frames: int = 0
    duration: float = 0.0


class Source(Protocol):
    """Pictures from somewhere. All methods are called by one thread and may block, except `interrupt`."""

    def open(self) -> StreamInfo:
        """Connects and learns the format. Raises SourceError."""
        ...

    def read(self) -> RawFrame | None:
        """The next picture, paced by the source itself when live; None at the end. Raises SourceError."""
        ...

    def interrupt(self) -> None:
        """Makes a blocked or waiting call return soon. From any thread."""
        ...

    def close(self) -> None:
        """Frees everything; safe twice and after a failed open."""
        ...
