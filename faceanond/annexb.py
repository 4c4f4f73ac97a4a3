"""Where one NAL unit ends and the next begins in a byte stream (ITU-T H.264, Annex B): capture and publish both ask."""

from __future__ import annotations

from collections.abc import Iterator

_START = b"\0\0\1"


def nal_units(data: bytes) -> Iterator[bytes]:
    """The bytes between the start codes, as they come: zeros that belong to the next start code are still there."""
    start = data.find(_START)
    while start >= 0:
        following = data.find(_START, start + len(_START))
        yield data[start + len(_START) : following if following >= 0 else len(data)]
        start = following
