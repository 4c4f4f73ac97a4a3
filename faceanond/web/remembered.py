"""What somebody logs in with, and which of it has been right or wrong before, at which address."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections import OrderedDict, defaultdict
from dataclasses import astuple, dataclass

from faceanond.access import Viewer

MOST_RIGHT = 256
"""Right credentials that are remembered for each viewer: addresses, times two for its password and its token."""
MOST_WRONG = 1024
"""Wrong ones that are remembered in all."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An Authorization header, whatever its spelling: `scheme` is "basic" or "bearer", or "" for one that cannot be
    read, which is the `secret` as a whole."""

    scheme: str
    name: str
    secret: str


def read(header: str) -> Credentials:
    """What an Authorization header says."""
    scheme, _, rest = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return Credentials("bearer", "", rest.strip())
        case "basic":
            try:
                name, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
            except (binascii.Error, ValueError):
                return Credentials("", "", header)
            return Credentials("basic", name, password)
    return Credentials("", "", header)


class Remembered:
    """Kept as hashes with a key that nobody knows.

    Each viewer has places of its own for what was right, so that none can push out what is remembered of another.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, Viewer] = {}
        # The last asked for at the end, as in `_wrong`.
        self._places: defaultdict[str, OrderedDict[bytes, None]] = defaultdict(OrderedDict)
        self._wrong: OrderedDict[bytes, None] = OrderedDict()

    def right(self, address: str, login: Credentials) -> Viewer | None:
        """The viewer for whom they were right at that address."""
        digest = self._digest(address, login)
        viewer = self._right.get(digest)
        if viewer is not None:
            self._places[viewer.name].move_to_end(digest)
        return viewer

    def was_wrong(self, address: str, login: Credentials) -> bool:
        """Whether the very same were wrong at that address."""
        return self._digest(address, login) in self._wrong

    def note_right(self, address: str, login: Credentials, viewer: Viewer) -> None:
        digest, places = self._digest(address, login), self._places[viewer.name]
        self._right[digest] = viewer
        places[digest] = None
        if len(places) > MOST_RIGHT:
            oldest, _ = places.popitem(last=False)
            del self._right[oldest]

    def note_wrong(self, address: str, login: Credentials) -> None:
        digest = self._digest(address, login)
        self._wrong[digest] = None
        self._wrong.move_to_end(digest)
        if len(self._wrong) > MOST_WRONG:
            self._wrong.popitem(last=False)

    def _digest(self, address: str, login: Credentials) -> bytes:
        told = repr((address, *astuple(login))).encode(errors="surrogateescape")
        return hashlib.blake2b(told, key=self._key).digest()
