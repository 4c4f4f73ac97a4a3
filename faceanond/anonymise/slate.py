"""The picture that is shown when there is none to show: dark, with the camera's name and what is the matter."""

from __future__ import annotations

import textwrap

from faceanond.anonymise.lettering import GROUND, lettered, paste
from faceanond.anonymise.planes import Planes

LINES = 4
"""Lines that a message may take; more would be a text that nobody reads on a wall of cameras."""


def slate(camera: str, message: str, width: int, height: int) -> Planes:
    """A picture of that size (odd ones rounded up) that owes nothing to any camera."""
    planes = Planes.filled(width, height, GROUND)
    size = max(10, min(planes.height // 14, planes.width // 22))
    # A letter is about half as wide as its line is high.
    columns = max(8, int(planes.width * 0.9 / (size * 0.55)))
    # A name has up to 63 letters: it gets smaller rather than cut.
    title = lettered(camera, max(8, min(size * 3 // 2, int(planes.width * 0.9 / (max(1, len(camera)) * 0.55)))))
    lines = [lettered(line, size) for line in textwrap.wrap(message, columns)[:LINES]]
    top = (planes.height - sum(letters.shape[0] for letters in (title, *lines))) // 4 * 2
    for letters in (title, *lines):
        left = (planes.width - letters.shape[1]) // 4 * 2
        paste(planes, letters, max(0, left), max(0, top))
        top = max(0, top) + letters.shape[0]
    return planes
