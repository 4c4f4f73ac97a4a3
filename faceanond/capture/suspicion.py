"""Which decoded pictures may not be believed. Pure.

Once something was lost or damaged, every picture that may have been built upon it is suspect, and so is everything
before the first key picture. A key picture ends the suspicion only if it came after the damage: in a stream with
reordered pictures the key picture that is shown next may be older than the loss.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

Reason = Literal["gap", "corrupt"]
REMEMBERED = 64
"""Key pictures that may wait inside the decoder: more than any decoder holds back."""


class Suspicion:
    """Feed it packets in the order of decoding and pictures in the order of display.

    `refresh` tells a key picture that heals at once (an IDR picture, an intra-only codec) from a mere entry point: a
    stream with gradual refresh is whole again only one refresh later, that is at the second entry point.
    """

    def __init__(self) -> None:
        self._reason: Reason | None = "gap"
        self._entries = 0
        self._cures: deque[int | None] = deque(maxlen=REMEMBERED)

    @property
    def reason(self) -> Reason | None:
        """Why the next picture would be suspect."""
        return self._reason

    def doubt(self, reason: Reason) -> None:
        """Something is lost or damaged from here on."""
        self._reason = reason
        self._entries = 0
        self._cures.clear()

    def packet(self, *, keyframe: bool, pts: int | None, refresh: bool) -> None:
        """The next packet to be decoded."""
        if self._reason is None or not keyframe:
            return
        self._entries += 1
        if refresh or self._entries >= 2:
            self._cures.append(pts)

    def picture(self, *, keyframe: bool, pts: int | None) -> Reason | None:
        """Why this picture is suspect, or None."""
        if self._reason is not None and self._cures and self._cured(keyframe, pts):
            self._reason = None
            self._cures.clear()
        return self._reason

    def _cured(self, keyframe: bool, pts: int | None) -> bool:
        if pts is None or None in self._cures:
            return keyframe
        return pts in self._cures
