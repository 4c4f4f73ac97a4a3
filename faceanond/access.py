"""Who may watch what: the one place that knows passwords, tokens and rights.

Every listener asks here. Without configured viewers everything is open to whoever reaches a listener (by default only
this machine does); with at least one, nothing is shown to anybody who is not listed. Comparing takes the same time
whatever is wrong, the name included.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from faceanond.config import model


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who has shown who it is. `patterns` are camera names, with "*" for any letters."""

    name: str
    patterns: tuple[str, ...] = field(repr=False)

    def may_watch(self, camera: str) -> bool:
        """Whether this viewer may see the camera, in whatever form."""
        return any(fnmatchcase(camera, pattern) for pattern in self.patterns)

    @property
    def sees_everything(self) -> bool:
        """Whether this viewer may see every camera, and so what is told about the whole fleet."""
        return "*" in self.patterns


ANYBODY = Viewer("", ("*",))
"""Who watches where no viewers are configured."""


class Access:
    """The configured viewers."""

    def __init__(self, viewers: Mapping[str, model.Viewer]) -> None:
        self._viewers = {name: Viewer(name, settings.cameras) for name, settings in viewers.items()}
        self._passwords = {
            name: settings.password.get_secret_value()
            for name, settings in viewers.items()
            if settings.password is not None
        }
        self._tokens = {
            name: settings.token.get_secret_value() for name, settings in viewers.items() if settings.token is not None
        }
        # What a name that does not exist is compared with.
        self._nobody = secrets.token_urlsafe(24)

    @property
    def open(self) -> bool:
        """Whether no viewers are configured: whoever reaches a listener may watch."""
        return not self._viewers

    def viewer(self, name: str) -> Viewer | None:
        """The viewer of that name, who must still prove to be it."""
        return self._viewers.get(name)

    def by_password(self, name: str, password: str) -> Viewer | None:
        """The viewer who has that name and password."""
        right = _same(self._passwords.get(name, self._nobody), password)
        return self._viewers[name] if right and name in self._passwords else None

    def by_token(self, token: str) -> Viewer | None:
        """The viewer who has that token."""
        found = None
        for name, expected in self._tokens.items():
            if _same(expected, token):
                found = self._viewers[name]
        return found

    def password_of(self, name: str) -> str | None:
        """The password, for schemes that never send it; None when there is no such viewer, or none with a password."""
        return self._passwords.get(name)


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))


OPEN = Access({})
"""No viewers are configured: for programs and tests that serve whoever comes. It is nowhere a default."""
