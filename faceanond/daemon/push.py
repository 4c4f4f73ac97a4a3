"""Pushes of a fleet: one task for each camera that has a place at a media server, beside the cameras, not in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from faceanond.clock import Clock
from faceanond.config.model import Config
from faceanond.publish.push.network import Network
from faceanond.publish.push.pusher import Attempt, Pusher
from faceanond.publish.push.rtsp import RtspPush
from faceanond.publish.push.target import Target, target
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.whip import WhipPush


class Pushes:
    """Every push of a configuration, by camera. `run` lasts until it is cancelled."""

    def __init__(self, config: Config, streams: Mapping[str, Stream], *, clock: Clock) -> None:
        self._network = Network(clock=clock)
        self._config = config
        self._clock = clock
        self.pushers = {
            name: Pusher(place, stream, self._attempt, clock=clock)
            for name, stream in streams.items()
            if (place := target(name, config.cameras[name].push)) is not None
        }

    async def run(self) -> None:
        """One task per camera. At the end every server has been told, as far as it listens."""
        async with self._network, asyncio.TaskGroup() as tasks:
            for name, pusher in self.pushers.items():
                tasks.create_task(pusher.run(), name=f"push:{name}")

    def _attempt(self, place: Target, stream: Stream, connected: Callable[[], None]) -> Attempt:
        network, clock = self._network, self._clock
        if place.protocol == "push_whip":
            return WhipPush(place, stream, network, self._config.webrtc, clock=clock, connected=connected)
        return RtspPush(place, stream, network, clock=clock, connected=connected)
