"""What the URLs of requests name. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from faceanond.publish.rtsp.messages import RtspError

TRACK = "trackID=0"
"""The control attribute of the one track, which players append to the URL."""


def camera_of(url: str) -> str:
    """The camera that a URL names, with or without its track; raises RtspError 400 for what is no URL."""
    try:
        path = urlsplit(url).path
    except ValueError:
        raise RtspError(400, "a malformed URL") from None
    return path.strip("/").removesuffix(TRACK).rstrip("/")


def base(url: str) -> str:
    """The URL without its query and final slash, for headers that players append to."""
    return url.partition("?")[0].rstrip("/")
