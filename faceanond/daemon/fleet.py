"""The fleet as pages, metrics and listeners see it: look-ups and snapshots, no control."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace

from faceanond.config.model import Camera
from faceanond.pipeline.camera import CameraPipeline
from faceanond.pipeline.snapshot import Snapshots
from faceanond.publish.packet import Codec
from faceanond.publish.push.pusher import Pusher
from faceanond.publish.stream import Stream
from faceanond.redact import redact
from faceanond.status import CameraState, CameraStatus


class CameraView:
    """One camera's view for the web: there from the start, with pictures as soon as its pipeline runs."""

    def __init__(self, name: str, settings: Camera) -> None:
        state = CameraState.CONNECTING if settings.enabled else CameraState.DISABLED
        self._before = CameraStatus(name=name, state=state, source=redact(str(settings.source)))
        self._pipeline: CameraPipeline | None = None
        self._snapshots: Snapshots | None = None
        self._pusher: Pusher | None = None

    def start(self, pipeline: CameraPipeline, executor: Executor, pusher: Pusher | None = None) -> None:
        """The pipeline exists now, and the push if there is one; snapshots are made in the executor."""
        self._pipeline = pipeline
        self._pusher = pusher
        self._snapshots = Snapshots(executor)

    def stream(self, codec: Codec = Codec.H264) -> Stream | None:
        """The published stream in that codec; None before the start, for a disabled camera for ever, and for a codec
        that is switched off."""
        return None if self._pipeline is None else self._pipeline.stream_in(codec)

    def status(self) -> CameraStatus:
        status = self._before if self._pipeline is None else self._pipeline.status()
        return status if self._pusher is None else replace(status, push=self._pusher.status())

    async def snapshot(self) -> bytes | None:
        """The last published frame as JPEG; None before the first."""
        if self._pipeline is None or self._snapshots is None or self._pipeline.last_sealed is None:
            return None
        return await self._snapshots.of(self._pipeline.last_sealed)


class Fleet:
    """All configured cameras by name, in the order of the file."""

    def __init__(self, cameras: Mapping[str, Camera]) -> None:
        self._views = {name: CameraView(name, settings) for name, settings in cameras.items()}

    def start(self, pipelines: Mapping[str, CameraPipeline], executor: Executor, pushers: Mapping[str, Pusher]) -> None:
        """Lets the views see their pipelines and pushes."""
        for name, pipeline in pipelines.items():
            self._views[name].start(pipeline, executor, pushers.get(name))

    def cameras(self) -> list[CameraStatus]:
        return [view.status() for view in self._views.values()]

    def camera(self, name: str) -> CameraView | None:
        return self._views.get(name)

    def stream(self, name: str, codec: Codec = Codec.H264) -> Stream | None:
        """The camera's published stream in that codec; None when there is none (now)."""
        view = self._views.get(name)
        return None if view is None else view.stream(codec)
