"""The fleet as pages, metrics and listeners see it: look-ups and snapshots, no control."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace

from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.clock import Clock, SystemClock
from faceanond.config.model import Camera
from faceanond.pipeline.camera import CameraPipeline
from faceanond.pipeline.snapshot import Snapshots
from faceanond.publish.packet import Codec
from faceanond.publish.push.pusher import Pusher
from faceanond.publish.stream import Stream
from faceanond.redact import redact
from faceanond.status import CameraState, CameraStatus, RecordStatus
from faceanond.web.view import Snapshot

_PROCESS = secrets.token_hex(4)
"""Monotonic time begins anew with the machine, so this tells a picture's tag from those of another run."""


class CameraView:
    """One camera's view for the web: there from the start, with pictures as soon as its pipeline runs."""

    def __init__(self, name: str, settings: Camera, *, clock: Clock | None = None) -> None:
        state = CameraState.CONNECTING if settings.enabled else CameraState.DISABLED
        self._before = CameraStatus(name=name, state=state, source=redact(str(settings.source)))
        self._name = name
        self._clock = clock or SystemClock()
        self._pipeline: CameraPipeline | None = None
        self._recording: Callable[[str], RecordStatus] | None = None
        self._snapshots: Snapshots | None = None
        self._pusher: Pusher | None = None

    def start(self, pipeline: CameraPipeline, executor: Executor, pusher: Pusher | None = None) -> None:
        """The pipeline exists now, and the push if there is one; snapshots are made in the executor."""
        self._pipeline = pipeline
        self._pusher = pusher
        self._snapshots = Snapshots(executor)

    def record(self, recording: Callable[[str], RecordStatus]) -> None:
        """From now on the status tells of the camera's recordings, too."""
        self._recording = recording

    def stream(self, codec: Codec = Codec.H264) -> Stream | None:
        """The published stream in that codec; None before the start, for a disabled camera for ever, and for a codec
        that is switched off."""
        return None if self._pipeline is None else self._pipeline.stream_in(codec)

    def status(self) -> CameraStatus:
        status = self._before if self._pipeline is None else self._pipeline.status()
        if self._pusher is not None:
            status = replace(status, push=self._pusher.status())
        return status if self._recording is None else replace(status, record=self._recording(self._name))

    def snapshot_tag(self) -> str | None:
        """What distinguishes the last published frame; None before the first."""
        frame = None if self._pipeline is None else self._pipeline.last_sealed
        return None if frame is None else _tag(frame)

    async def snapshot(self) -> Snapshot | None:
        """The last published frame as JPEG; None before the first."""
        frame = None if self._pipeline is None else self._pipeline.last_sealed
        if frame is None or self._snapshots is None:
            return None
        body = await self._snapshots.of(frame)
        return Snapshot(body, _tag(frame), self._clock.wall() - (self._clock.monotonic() - frame.captured))


def _tag(frame: AnonymisedFrame) -> str:
    return f"{_PROCESS}-{round(frame.captured * 1e6):x}-{frame.verdict}"


class Fleet:
    """All configured cameras by name, in the order of the file."""

    def __init__(self, cameras: Mapping[str, Camera], *, clock: Clock | None = None) -> None:
        self._views = {name: CameraView(name, settings, clock=clock) for name, settings in cameras.items()}

    def start(self, pipelines: Mapping[str, CameraPipeline], executor: Executor, pushers: Mapping[str, Pusher]) -> None:
        """Lets the views see their pipelines and pushes."""
        for name, pipeline in pipelines.items():
            self._views[name].start(pipeline, executor, pushers.get(name))

    def record(self, recording: Callable[[str], RecordStatus]) -> None:
        """Lets the views tell of recordings."""
        for view in self._views.values():
            view.record(recording)

    def cameras(self) -> list[CameraStatus]:
        return [view.status() for view in self._views.values()]

    def camera(self, name: str) -> CameraView | None:
        return self._views.get(name)

    def stream(self, name: str, codec: Codec = Codec.H264) -> Stream | None:
        """The camera's published stream in that codec; None when there is none (now)."""
        view = self._views.get(name)
        return None if view is None else view.stream(codec)
