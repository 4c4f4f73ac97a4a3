"""What the pages need to know of the daemon: small interfaces, so that web code never meets a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.service import Answer
from faceanond.status import CameraStatus


class CameraView(Protocol):
    """One configured camera."""

    def status(self) -> CameraStatus: ...

    async def snapshot(self) -> bytes | None:
        """The last sealed picture as JPEG; None before the first."""
        ...


class Fleet(Protocol):
    """All configured cameras, in the order of the configuration."""

    def cameras(self) -> Sequence[CameraStatus]: ...

    def camera(self, name: str) -> CameraView | None: ...

    def stream(self, name: str) -> Stream | None:
        """The camera's published stream; None when there is none (now)."""
        ...


class Health(Protocol):
    """What an orchestrator asks. Each answer comes with details that are put out as JSON."""

    def alive(self) -> tuple[bool, dict[str, Any]]: ...

    def ready(self) -> tuple[bool, dict[str, Any]]: ...


class Whep(Protocol):
    """Answers viewers' offers; `publish/webrtc/service` is the real one and names the errors.

    `owner` is the viewer who asks: a session is there for the one alone who made it.
    """

    async def offer(
        self, camera: str, sdp: str, *, local: str | None = None, remote: str | None = None, owner: str = ""
    ) -> Answer: ...

    async def end(self, session_id: str, *, camera: str, owner: str = "") -> bool: ...

    def has(self, session_id: str, *, camera: str, owner: str = "") -> bool: ...

    async def add_candidates(self, session_id: str, fragment: str, *, camera: str, owner: str = "") -> bool: ...
