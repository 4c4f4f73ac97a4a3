"""Where one camera is pushed to: the configured URL with the camera's name in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from faceanond.config.model import Push
from faceanond.config.types import push_address
from faceanond.redact import redact

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """One camera's place at a media server. `url` holds no login; `settings` does."""

    camera: str
    url: str
    settings: Push

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme.lower()

    @property
    def protocol(self) -> Literal["push_rtsp", "push_whip"]:
        """How its bytes are counted."""
        return "push_rtsp" if self.scheme in ("rtsp", "rtsps") else "push_whip"

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or PORTS[self.scheme]

    @property
    def encrypted(self) -> bool:
        return self.scheme in ("rtsps", "https")

    @property
    def shown(self) -> str:
        """The URL as pages and logs may show it: what its query says may be a key."""
        return redact(self.url)


def target(camera: str, settings: Push) -> Target | None:
    """Where the camera is pushed to; None when it is not."""
    return Target(camera, push_address(settings.url, camera), settings) if settings.url else None
