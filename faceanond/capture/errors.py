"""What an FFmpeg error means: the one place that turns it into a `SourceError` with a fault and one clear sentence.

FFmpeg's own messages are never passed on: they hold the whole URL, the password included.
"""

from __future__ import annotations

import errno
from enum import Enum

import av.error

from faceanond.errors import SourceError, SourceFault


class Doing(Enum):
    """What was going on when the error came."""

    OPENING = "opening"
    WAITING = "waiting for the first picture"
    READING = "reading"


_CLOSED = (SourceFault.UNREACHABLE, "the connection was closed by the other side")
_NOT_HERE = (SourceFault.NOT_FOUND, "there is no such file or device")
_FORBIDDEN = (SourceFault.UNAUTHORISED, "this process may not read it")
_NOT_VIDEO = (SourceFault.NOT_VIDEO, "what came is not a video that can be read")
_OPENING = {
    errno.ECONNREFUSED: (SourceFault.UNREACHABLE, "the connection was refused: nothing listens on that port"),
    errno.EHOSTUNREACH: (SourceFault.UNREACHABLE, "there is no route to the host"),
    errno.ENETUNREACH: (SourceFault.UNREACHABLE, "the network is unreachable"),
    errno.EADDRNOTAVAIL: (SourceFault.UNREACHABLE, "that address cannot be reached from here"),
    errno.EHOSTDOWN: (SourceFault.UNREACHABLE, "the host is down"),
    errno.ECONNRESET: _CLOSED,
    errno.EPIPE: _CLOSED,
    errno.ECONNABORTED: _CLOSED,
    # FFmpeg has nothing better to say of a failed TLS handshake or a redirect that it may not follow.
    errno.EIO: (SourceFault.UNREACHABLE, "the connection failed (certificate, redirect or broken answer)"),
    errno.ENOENT: _NOT_HERE,
    errno.ENODEV: _NOT_HERE,
    errno.ENXIO: _NOT_HERE,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EPROTONOSUPPORT: (SourceFault.NOT_FOUND, "the camera does not offer this transport; try the other one"),
    errno.EBUSY: (SourceFault.UNREACHABLE, "the device is in use by another program"),
    errno.ENOTTY: (SourceFault.NOT_VIDEO, "this is not a video device"),
    errno.EISDIR: (SourceFault.NOT_VIDEO, "this is a directory, not a video"),
    # The format is not on the list of those allowed.
    errno.EINVAL: _NOT_VIDEO,
}
_LOST = frozenset(number for number, (fault, _) in _OPENING.items() if fault is SourceFault.UNREACHABLE) | {
    errno.ENODEV,
    errno.ENXIO,
}
_STATUS = (
    (av.error.HTTPUnauthorizedError, SourceFault.UNAUTHORISED, "the user name or password is wrong or missing (401)"),
    (av.error.HTTPForbiddenError, SourceFault.UNAUTHORISED, "this user may not watch the stream (403)"),
    (av.error.HTTPNotFoundError, SourceFault.NOT_FOUND, "the host answers, but there is no such stream (404)"),
    (av.error.HTTPServerError, SourceFault.UNREACHABLE, "the camera has a fault of its own (5xx)"),
    (av.error.HTTPBadRequestError, SourceFault.NOT_FOUND, "the camera does not understand the request (400)"),
    (
        av.error.HTTPClientError,
        SourceFault.NOT_FOUND,
        "the camera refuses the request (4xx); it may not offer this transport",
    ),
)


def translate(
    error: av.error.FFmpegError | OSError, doing: Doing, shown: str, *, timeout: float, took: float
) -> SourceError:
    """The error as a SourceError; `shown` names the source without credentials.

    `timeout` is how long FFmpeg was to wait, `took` how long the call took, in seconds: FFmpeg's RTSP client calls a
    camera that says nothing "invalid data".

    The caller raises it outside of its `except` block, so that the original, with the URL in it, is not chained.
    """
    silent = isinstance(error, av.error.InvalidDataError) and took >= timeout
    fault, reason = _timed_out(doing, timeout) if silent else _meaning(error, doing, timeout)
    return SourceError(fault, f"{shown}: {reason}")


def _meaning(error: av.error.FFmpegError | OSError, doing: Doing, timeout: float) -> tuple[SourceFault, str]:
    for kind, fault, reason in _STATUS:
        if isinstance(error, kind):
            return fault, reason
    number = error.errno if isinstance(error.errno, int) else 0
    if number == errno.ETIMEDOUT:
        return _timed_out(doing, timeout)
    if doing is Doing.READING:
        return _while_reading(error, number)
    return _while_opening(error, number)


def _timed_out(doing: Doing, timeout: float) -> tuple[SourceFault, str]:
    return {
        Doing.OPENING: (SourceFault.UNREACHABLE, f"no answer within {timeout:g} s"),
        Doing.WAITING: (SourceFault.NO_FRAMES, f"connected, but no picture came within {timeout:g} s"),
        Doing.READING: (SourceFault.STALLED, f"nothing came for {timeout:g} s"),
    }[doing]


def _while_opening(error: av.error.FFmpegError | OSError, number: int) -> tuple[SourceFault, str]:
    if number in _OPENING:
        return _OPENING[number]
    if isinstance(error, av.error.EOFError):
        return SourceFault.NO_FRAMES, "the stream ended before its first picture"
    if isinstance(error, av.error.InvalidDataError):
        return _NOT_VIDEO
    if isinstance(error, av.error.DecoderNotFoundError | av.error.DemuxerNotFoundError):
        return SourceFault.NOT_VIDEO, "the video's codec is not supported"
    return SourceFault.INTERNAL, f"FFmpeg failed ({type(error).__name__} {number})"


def _while_reading(error: av.error.FFmpegError | OSError, number: int) -> tuple[SourceFault, str]:
    if isinstance(error, av.error.EOFError):
        return SourceFault.ENDED, "the stream ended"
    if number in _LOST:
        return SourceFault.ENDED, "the connection was lost"
    if isinstance(error, av.error.InvalidDataError):
        return SourceFault.CORRUPT, "the stream is too damaged to go on"
    return SourceFault.INTERNAL, f"FFmpeg failed ({type(error).__name__} {number})"
