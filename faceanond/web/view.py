"""What the pages need to know of the daemon: small interfaces, so that web code never meets a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from faceanond.publish.record.index import Segment
from faceanond.publish.record.playback import Playback
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.service import Answer
from faceanond.status import CameraStatus


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A sealed picture as JPEG. `tag` is the same exactly while the picture is, `taken` is Unix time."""

    body: bytes = field(repr=False)
    tag: str
    taken: float


class CameraView(Protocol):
    """One configured camera."""

    def status(self) -> CameraStatus: ...

    def snapshot_tag(self) -> str | None:
        """The tag of what `snapshot` would give now; None before the first picture."""
        ...

    async def snapshot(self) -> Snapshot | None:
        """The last sealed picture; None before the first."""
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


class Recordings(Protocol):
    """What was recorded; `publish/record/service` is the real one."""

    def between(self, camera: str, start: int, end: int, *, most: int, after: int = -1) -> Sequence[Segment]: ...

    def latest(self, camera: str, start: int, end: int, *, most: int) -> Sequence[Segment]: ...

    async def play(self, camera: str, file: str) -> Playback | None: ...


class Whep(Protocol):
    """Answers viewers' offers; `publish/webrtc/service` is the real one and names the errors.

    `owner` is the viewer who asks: a session is there for the one alone who made it. `client` is for the log.
    """

    async def offer(
        self,
        camera: str,
        sdp: str,
        *,
        local: str | None = None,
        remote: str | None = None,
        owner: str = "",
        client: str = "",
    ) -> Answer: ...

    async def end(self, session_id: str, *, camera: str, owner: str = "") -> bool: ...

    def has(self, session_id: str, *, camera: str, owner: str = "") -> bool: ...

    async def add_candidates(self, session_id: str, fragment: str, *, camera: str, owner: str = "") -> bool: ...
