"""Stands in for the daemon: cameras whose status a test decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from faceanond.publish.record.index import Segment
from faceanond.publish.record.playback import Playback
from faceanond.publish.stream import Stream
from faceanond.status import CameraState, CameraStatus
from faceanond.web.view import Snapshot


class Camera:
    """One camera: `status_now` may be replaced at any time."""

    def __init__(self, name: str, picture: bytes | None = b"\xff\xd8picture", **fields: Any) -> None:
        self.picture = picture
        self.made = 0
        """Pictures that were really made."""
        known = {
            "state": CameraState.LIVE,
            "source": "demo:",
            "codec": "h264",
            "width": 1280,
            "height": 720,
            "fps": 25.0,
        }
        self.status_now = CameraStatus(name=name, **{**known, **fields})

    def status(self) -> CameraStatus:
        return self.status_now

    def become(self, **fields: Any) -> None:
        self.status_now = replace(self.status_now, **fields)

    def snapshot_tag(self) -> str | None:
        return None if self.picture is None else f"{len(self.picture)}-x"

    async def snapshot(self) -> Snapshot | None:
        self.made += 1
        tag = self.snapshot_tag()
        return None if self.picture is None or tag is None else Snapshot(self.picture, tag, 1_795_750_200.9)


class Cameras:
    """A fleet of them."""

    def __init__(self, *cameras: Camera) -> None:
        self.by_name = {camera.status_now.name: camera for camera in cameras}
        self.streams: dict[str, Stream] = {}

    def cameras(self) -> list[CameraStatus]:
        return [camera.status() for camera in self.by_name.values()]

    def camera(self, name: str) -> Camera | None:
        return self.by_name.get(name)

    def stream(self, name: str) -> Stream | None:
        return self.streams.get(name)


class Shelf:
    """Recordings, of which there are none."""

    def between(self, camera: str, start: int, end: int, *, most: int, after: int = -1) -> list[Segment]:
        return []

    def latest(self, camera: str, start: int, end: int, *, most: int) -> list[Segment]:
        return []

    async def play(self, camera: str, file: str) -> Playback | None:
        return None


class Pulse:
    """Health as a test decides."""

    def __init__(self) -> None:
        self.good = True

    def alive(self) -> tuple[bool, dict[str, Any]]:
        return self.good, {"tick_age": 0.1}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        return self.good, {"http": True}


async def exposition(accept: str | None) -> tuple[bytes, str]:
    return b"faceanond_up 1\n", "text/plain; version=0.0.4; charset=utf-8"
