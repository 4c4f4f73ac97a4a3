"""An HTTP client in front of the application, with everything behind it stood in for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from faceanond.clock import Clock, SystemClock
from faceanond.config.model import Http
from faceanond.publish.webrtc.errors import OfferError
from faceanond.publish.webrtc.service import Answer
from faceanond.web.app import build
from faceanond.web.view import Recordings, Whep
from tests.web.standin import Camera, Cameras, Pulse, exposition

Client = TestClient[Any, Any]


class Answering:
    """A WHEP service that answers everything, or with the error that it is given."""

    def __init__(self, error: OfferError | None = None) -> None:
        self.error = error
        self.offers: list[tuple[str, str, str | None]] = []
        self.sessions = {"s3cret": "lobby"}

    async def offer(self, camera: str, sdp: str, *, local: str | None = None) -> Answer:
        self.offers.append((camera, sdp, local))
        if self.error is not None:
            raise self.error
        return Answer("s3cret", "v=0\r\n")

    async def end(self, session_id: str, *, camera: str | None = None) -> bool:
        if self.sessions.get(session_id) != camera:
            return False
        del self.sessions[session_id]
        return True


@contextlib.asynccontextmanager
async def serving(
    *cameras: Camera,
    whep: Whep | None = None,
    health: Pulse | None = None,
    settings: Http | None = None,
    clock: Clock | None = None,
    recordings: Recordings | None = None,
) -> AsyncIterator[Client]:
    app = build(
        Cameras(*(cameras or (Camera("lobby"),))),
        whep or Answering(),
        health or Pulse(),
        exposition,
        settings or Http(),
        clock=clock or SystemClock(),
        versions=lambda: {"ffmpeg": "8.1"},
        recordings=recordings,
    )
    async with TestClient(TestServer(app)) as client:
        yield client
