"""What an FFmpeg error means."""

from __future__ import annotations

import errno

import av.error
import pytest

from faceanond.capture.errors import Doing, translate
from faceanond.errors import SourceFault

OWN_NUMBER = 1094995529
"""One of FFmpeg's own, which no system call returns."""
URL = "rtsp://viewer:secret@10.0.0.1/s"


def failure(kind: type[av.error.FFmpegError], number: int = 0) -> av.error.FFmpegError:
    return kind(number, "text", URL)


TABLE = [
    (av.error.ConnectionRefusedError, errno.ECONNREFUSED, Doing.OPENING, SourceFault.UNREACHABLE),
    (av.error.OSError, errno.EHOSTUNREACH, Doing.OPENING, SourceFault.UNREACHABLE),
    (av.error.OSError, errno.EIO, Doing.OPENING, SourceFault.UNREACHABLE),
    (av.error.TimeoutError, errno.ETIMEDOUT, Doing.OPENING, SourceFault.UNREACHABLE),
    (av.error.TimeoutError, errno.ETIMEDOUT, Doing.WAITING, SourceFault.NO_FRAMES),
    (av.error.TimeoutError, errno.ETIMEDOUT, Doing.READING, SourceFault.STALLED),
    (av.error.HTTPUnauthorizedError, OWN_NUMBER, Doing.OPENING, SourceFault.UNAUTHORISED),
    (av.error.HTTPForbiddenError, OWN_NUMBER, Doing.OPENING, SourceFault.UNAUTHORISED),
    (av.error.HTTPNotFoundError, OWN_NUMBER, Doing.OPENING, SourceFault.NOT_FOUND),
    (av.error.HTTPServerError, OWN_NUMBER, Doing.OPENING, SourceFault.UNREACHABLE),
    (av.error.HTTPOtherClientError, OWN_NUMBER, Doing.OPENING, SourceFault.NOT_FOUND),
    (av.error.FileNotFoundError, errno.ENOENT, Doing.OPENING, SourceFault.NOT_FOUND),
    (av.error.PermissionError, errno.EACCES, Doing.OPENING, SourceFault.UNAUTHORISED),
    (av.error.InvalidDataError, OWN_NUMBER, Doing.OPENING, SourceFault.NOT_VIDEO),
    (av.error.ArgumentError, errno.EINVAL, Doing.OPENING, SourceFault.NOT_VIDEO),
    (av.error.EOFError, OWN_NUMBER, Doing.OPENING, SourceFault.NO_FRAMES),
    (av.error.EOFError, OWN_NUMBER, Doing.READING, SourceFault.ENDED),
    (av.error.ConnectionResetError, errno.ECONNRESET, Doing.READING, SourceFault.ENDED),
    (av.error.OSError, errno.ENODEV, Doing.READING, SourceFault.ENDED),
    (av.error.InvalidDataError, OWN_NUMBER, Doing.READING, SourceFault.CORRUPT),
    (av.error.ExternalError, 7, Doing.READING, SourceFault.INTERNAL),
    (av.error.ExternalError, 7, Doing.OPENING, SourceFault.INTERNAL),
]


@pytest.mark.parametrize(("kind", "number", "doing", "fault"), TABLE)
def test_each_error_has_its_fault_and_one_sentence_without_the_url(kind, number, doing, fault) -> None:
    error = translate(failure(kind, number), doing, "rtsp://10.0.0.1/s", timeout=8.0, took=0.0)
    assert error.fault is fault
    assert str(error).startswith("rtsp://10.0.0.1/s: ")
    assert "secret" not in str(error)
    assert "\n" not in str(error)


def test_invalid_data_after_the_whole_time_is_a_camera_that_said_nothing() -> None:
    error = translate(failure(av.error.InvalidDataError, 1), Doing.OPENING, "x", timeout=8.0, took=8.1)
    assert error.fault is SourceFault.UNREACHABLE
    assert "8 s" in str(error)
