"""Puts a picture together again that its server has cut in two.

Some servers (GStreamer's payloader among them) repeat the parameter sets in front of every slice of a keyframe. By the
letter of ITU-T H.264, 7.4.1.2.3, a new picture begins there, so FFmpeg's parser cuts the keyframe into pieces, and the
decoder makes two damaged pictures of one good one. A slice that begins the picture says so in its first bit
(first_mb_in_slice is 0); a packet whose first slice does not belongs to the packet before.

To see that, a keyframe must be kept until the next packet comes, which delays it by one picture. So this is done for
the first keyframe, and only goes on where pieces have been seen. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from faceanond.annexb import nal_units

MOST_PIECES = 64
"""More slices than any camera makes: a hostile stream shall not let one picture grow for ever."""
_SLICES = (1, 2, 5)
"""nal_unit_type of the slices that begin with first_mb_in_slice."""


class EncodedPiece(Protocol):
    """What is needed of a packet."""

    @property
    def is_keyframe(self) -> bool: ...

    def __bytes__(self) -> bytes: ...


P = TypeVar("P", bound=EncodedPiece)


class PictureJoiner(Generic[P]):
    """Feed it Annex B packets in order; it gives whole pictures: lists of packets to be decoded as one."""

    def __init__(self) -> None:
        self._held: list[P] = []
        self._watches = True

    def push(self, packet: P) -> Iterator[list[P]]:
        """The pictures that are complete now."""
        if begins_inside(bytes(packet)):
            self._watches = True
            if self._held and len(self._held) < MOST_PIECES:
                self._held.append(packet)
                return
            yield from self.flush()
        elif self._held:
            self._watches = len(self._held) > 1
            yield from self.flush()
        if packet.is_keyframe and self._watches:
            self._held = [packet]
        else:
            yield [packet]

    def flush(self) -> Iterator[list[P]]:
        """What is still held, at the end."""
        held, self._held = self._held, []
        if held:
            yield held


def begins_inside(data: bytes) -> bool:
    """Whether the packet's first slice does not begin a picture."""
    for unit in nal_units(data):
        if unit and unit[0] & 31 in _SLICES:
            return len(unit) > 1 and not unit[1] & 0x80
    return False
