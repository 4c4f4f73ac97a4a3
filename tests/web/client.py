"""An HTTP client in front of the application, with everything behind it stood in for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from faceanond.access import Access
from faceanond.clock import Clock, SystemClock
from faceanond.config.load import parse
from faceanond.config.model import Http, IceServer
from faceanond.logins import FailedLogins
from faceanond.publish.webrtc.errors import OfferError
from faceanond.publish.webrtc.service import Answer
from faceanond.shares import OverShareError
from faceanond.web.app import build
from faceanond.web.view import Recordings, Whep
from tests.web.standin import Camera, Cameras, Pulse, Shelf, exposition

Client = TestClient[Any, Any]


class Answering:
    """A WHEP service that answers everything, or with the error that it is given."""

    def __init__(self, error: OfferError | OverShareError | None = None) -> None:
        self.error = error
        self.offers: list[tuple[str, str, str | None]] = []
        self.remotes: list[str | None] = []
        self.clients: list[str] = []
        self.sessions = {"s3cret": ("lobby", "")}
        self.ended: dict[str, tuple[str, str]] = {}
        self.fragments: list[str] = []

    async def offer(
        self,
        camera: str,
        sdp: str,
        *,
        local: str | None = None,
        remote: str | None = None,
        owner: str = "",
        client: str = "",
    ) -> Answer:
        self.offers.append((camera, sdp, local))
        self.remotes.append(remote)
        self.clients.append(client)
        if self.error is not None:
            raise self.error
        self.sessions["s3cret"] = (camera, owner)
        return Answer("s3cret", "v=0\r\n")

    async def end(self, session_id: str, *, camera: str, owner: str = "") -> bool:
        if self.sessions.get(session_id) == (camera, owner):
            self.ended[session_id] = self.sessions.pop(session_id)
        return self.ended.get(session_id) == (camera, owner)

    def has(self, session_id: str, *, camera: str, owner: str = "") -> bool:
        return self.sessions.get(session_id) == (camera, owner)

    async def add_candidates(self, session_id: str, fragment: str, *, camera: str, owner: str = "") -> bool:
        if not self.has(session_id, camera=camera, owner=owner):
            return False
        if self.error is not None:
            raise self.error
        self.fragments.append(fragment)
        return True


@contextlib.asynccontextmanager
async def serving(
    *cameras: Camera,
    whep: Whep | None = None,
    health: Pulse | None = None,
    settings: Http | None = None,
    viewers: str = "",
    failures: FailedLogins | None = None,
    ice_servers: tuple[IceServer, ...] = (),
    clock: Clock | None = None,
    recordings: Recordings | None = None,
) -> AsyncIterator[Client]:
    """The application for those cameras; `viewers` is text of a configuration file."""
    clock = clock or SystemClock()
    app = build(
        Cameras(*(cameras or (Camera("lobby"),))),
        whep or Answering(),
        health or Pulse(),
        exposition,
        settings or Http(),
        access=Access(parse(viewers, "c.toml").viewers),
        failures=failures,
        ice_servers=ice_servers,
        clock=clock,
        versions=lambda: {"ffmpeg": "8.1"},
        recordings=recordings or Shelf(),
    )
    async with TestClient(TestServer(app)) as client:
        yield client
