"""The fleet as pages, metrics and listeners see it: look-ups and snapshots, no control."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor

from faceanond.config.model import Camera
from faceanond.pipeline.camera import CameraPipeline
from faceanond.pipeline.snapshot import Snapshots
from faceanond.publish.stream import Stream
from faceanond.redact import redact
from faceanond.status import CameraState, CameraStatus


class RunningCamera:
    """One camera's view for the web."""

    def __init__(self, pipeline: CameraPipeline, executor: Executor) -> None:
        self._pipeline = pipeline
        self._snapshots = Snapshots(executor)

    def status(self) -> CameraStatus:
        return self._pipeline.status()

    async def snapshot(self) -> bytes | None:
        """The last published frame as JPEG; None before the first."""
        frame = self._pipeline.last_sealed
        return None if frame is None else await self._snapshots.of(frame)


class RunningFleet:
    """All cameras by name, the disabled ones included in the listing."""

    def __init__(
        self, cameras: Mapping[str, Camera], pipelines: Mapping[str, CameraPipeline], executor: Executor
    ) -> None:
        self._pipelines = pipelines
        self._views = {name: RunningCamera(pipeline, executor) for name, pipeline in pipelines.items()}
        self._disabled = [
            CameraStatus(name=name, state=CameraState.DISABLED, source=redact(str(camera.source)))
            for name, camera in cameras.items()
            if not camera.enabled
        ]

    def cameras(self) -> list[CameraStatus]:
        """Every camera, in the order of the file, the disabled ones last."""
        return [pipeline.status() for pipeline in self._pipelines.values()] + self._disabled

    def camera(self, name: str) -> RunningCamera | None:
        return self._views.get(name)

    def stream(self, name: str) -> Stream | None:
        """The camera's published stream; None when there is no such camera."""
        pipeline = self._pipelines.get(name)
        return None if pipeline is None else pipeline.stream
