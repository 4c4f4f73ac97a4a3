"""The errors that cross a package's border, each with the exit code that it means for the process."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """What the command tells the shell (and systemd)."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3


class FaceanondError(Exception):
    """The base of every error that a user may see; `str(error)` is one clear line without credentials."""

    exit_code = ExitCode.FAILED


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a file: `place` is `FILE:LINE` (or `FILE`), `key` the dotted path, `message` what is wrong."""

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.message}" if self.key else f"{self.place}: {self.message}"


class MistakesError(FaceanondError):
    """A file with mistakes; carries all of them. `subject` says what kind of file."""

    exit_code = ExitCode.USAGE
    subject = "the file"

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class ConfigError(MistakesError):
    """A configuration with mistakes."""

    subject = "the configuration"


class TruthError(MistakesError):
    """Labels of a clip with mistakes, or of another clip."""

    subject = "the labels"


class UsageError(FaceanondError):
    """The command line asks for something that cannot be."""

    exit_code = ExitCode.USAGE


class UnavailableError(FaceanondError):
    """A device that was asked for (GPU, port, file) is not there."""

    exit_code = ExitCode.UNAVAILABLE


class SourceFault(StrEnum):
    """Why a source failed: the closed set behind `camera_reconnects_total{reason}`."""

    UNREACHABLE = "unreachable"
    UNAUTHORISED = "unauthorised"
    NOT_FOUND = "not_found"
    NOT_VIDEO = "not_video"
    NO_FRAMES = "no_frames"
    STALLED = "stalled"
    ENDED = "ended"
    CORRUPT = "corrupt"
    INTERNAL = "internal"


class RecordFault(StrEnum):
    """Why a recording failed: the closed set behind `record_failures_total{reason}`."""

    FULL = "full"
    READ_ONLY = "read_only"
    DENIED = "denied"
    GONE = "gone"
    IN_USE = "in_use"
    STALLED = "stalled"
    IO = "io"
    INTERNAL = "internal"


class SourceError(FaceanondError):
    """A camera could not be opened, or stopped. `fault` is for metrics, `str()` for people (no credentials)."""

    def __init__(self, fault: SourceFault, message: str) -> None:
        self.fault = fault
        super().__init__(message)


class PushFault(StrEnum):
    """Why a push to a media server failed: the closed set behind `push_failures_total{reason}`."""

    UNREACHABLE = "unreachable"
    TLS = "tls"
    UNAUTHORISED = "unauthorised"
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    CLOSED = "closed"
    MALFORMED = "malformed"
    INTERNAL = "internal"


class PushError(FaceanondError):
    """A push could not be set up, or stopped. `fault` is for metrics, `str()` for people (no credentials).

    `retry_after` is what the server asked for, in seconds; 0 when it asked for nothing.
    """

    def __init__(self, fault: PushFault, message: str, *, retry_after: float = 0.0) -> None:
        self.fault = fault
        self.retry_after = retry_after
        super().__init__(message)


class DetectionError(FaceanondError):
    """A frame got no verdict from the detector. `reason` is a short name from a closed set, used as metric label."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


STOPPED = "stopped"
"""The reason of a DetectionError when the frame's camera, or the detector, was stopped: nobody will look at it."""


class EncodeError(FaceanondError):
    """An encoder refused a frame or could not be opened."""
