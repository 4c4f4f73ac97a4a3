"""The HTTP application: its routes, and nothing that is not about HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from aiohttp import ETag, hdrs, web

import faceanond
from faceanond.access import Access, Viewer
from faceanond.clock import Clock, SystemClock
from faceanond.config.model import Http, IceServer
from faceanond.logins import FailedLogins
from faceanond.shares import Shares
from faceanond.status import CameraStatus
from faceanond.watching import Fetches
from faceanond.web.api import camera_json
from faceanond.web.assets import ASSETS
from faceanond.web.auth import Auth, camera_of, viewer_of
from faceanond.web.guard import Guard
from faceanond.web.mp4 import Mp4Routes
from faceanond.web.recordings import RecordingRoutes
from faceanond.web.snapshots import TELL_EVERY, snapshot
from faceanond.web.view import Fleet, Health, Recordings, Whep
from faceanond.web.whep import LARGEST_OFFER, WhepRoutes
from faceanond.web.who import who

Metrics = Callable[[str | None], Awaitable[tuple[bytes, str]]]
"""From the request's Accept header to the exposition and its content type."""


def build(
    fleet: Fleet,
    whep: Whep,
    health: Health,
    metrics: Metrics,
    settings: Http,
    *,
    access: Access,
    failures: FailedLogins | None = None,
    shares: Shares | None = None,
    ice_servers: tuple[IceServer, ...] = (),
    clock: Clock | None = None,
    versions: Callable[[], Mapping[str, Any]] | None = None,
    recordings: Recordings | None = None,
) -> web.Application:
    """The application, ready for `server.serving`. `versions` is what `/api/version` adds to our own version.

    `access` knows the viewers: there is no default for it, since leaving it out would open everything. `failures` is
    where all listeners note wrong logins, `shares` where they count each viewer's streams, and players are told of the
    `ice_servers`.
    """
    clock = clock or SystemClock()
    app = web.Application(client_max_size=LARGEST_OFFER)
    guard = Guard(settings, is_open=access.open)
    guard.install(app)
    Auth(access, failures or FailedLogins(clock)).install(app)
    WhepRoutes(fleet, whep, guard, clock, ice_servers).install(app)
    Mp4Routes(fleet, settings, shares or Shares({}, clock=clock), clock).install(app)
    if recordings is not None:
        RecordingRoutes(fleet, recordings, clock).install(app)
    _Routes(fleet, health, metrics, versions or dict, clock).install(app)
    return app


class _Routes:
    """Everything but video: pages, snapshots, status, metrics, health."""

    def __init__(
        self,
        fleet: Fleet,
        health: Health,
        metrics: Metrics,
        versions: Callable[[], Mapping[str, Any]],
        clock: Clock,
    ) -> None:
        self._fleet = fleet
        self._health = health
        self._metrics = metrics
        self._versions = versions
        self._snapshots = Fetches("snapshot watched", interval=TELL_EVERY, clock=clock)

    def install(self, app: web.Application) -> None:
        get = app.router.add_get
        get("/", self.wall)
        get("/cameras/{name}", self.single)
        get("/cameras/{name}/snapshot.jpg", self.snapshot)
        get("/static/{file}", self.asset)
        get("/favicon.ico", self.icon)
        get("/api/cameras", self.list_cameras)
        get("/api/cameras/{name}", self.show_camera)
        get("/api/version", self.version)
        get("/metrics", self.exposition)
        get("/healthz", self.alive)
        get("/readyz", self.ready)

    async def wall(self, request: web.Request) -> web.Response:
        return _file(request, "index.html")

    async def single(self, request: web.Request) -> web.Response:
        """The same page; its script sees from the path which camera is meant."""
        camera_of(request, self._fleet)
        return _file(request, "index.html")

    async def asset(self, request: web.Request) -> web.Response:
        return _file(request, request.match_info["file"])

    async def icon(self, request: web.Request) -> web.Response:
        return _file(request, "icon.svg")

    async def snapshot(self, request: web.Request) -> web.Response:
        answer = await snapshot(request, camera_of(request, self._fleet))
        if request.method != hdrs.METH_HEAD:
            self._snapshots.note(request.match_info["name"], who(request))
        return answer

    async def list_cameras(self, request: web.Request) -> web.Response:
        viewer = viewer_of(request)
        shown = [_told(viewer, status) for status in self._fleet.cameras() if viewer.may_watch(status.name)]
        return web.json_response({"cameras": shown})

    async def show_camera(self, request: web.Request) -> web.Response:
        return web.json_response(_told(viewer_of(request), camera_of(request, self._fleet).status()))

    async def version(self, request: web.Request) -> web.Response:
        return web.json_response({"faceanond": faceanond.__version__, **self._versions()})

    async def exposition(self, request: web.Request) -> web.Response:
        body, content_type = await self._metrics(request.headers.get(hdrs.ACCEPT))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    async def alive(self, request: web.Request) -> web.Response:
        return _verdict(request, *self._health.alive())

    async def ready(self, request: web.Request) -> web.Response:
        return _verdict(request, *self._health.ready())


def _told(viewer: Viewer, status: CameraStatus) -> dict[str, Any]:
    """A camera's status; where its pictures come from and go to is for those who may see everything. Errors name it."""
    if viewer.sees_everything:
        return camera_json(status)
    trouble = status.last_error and status.last_error.removeprefix(f"{status.source}: ")
    if trouble and (status.source in trouble or "://" in trouble):
        trouble = None
    recording = replace(status.record, last_error=None)
    sent = {way: size for way, size in status.output_bytes.items() if not way.startswith("push_")}
    return {
        **camera_json(replace(status, last_error=trouble, push=None, record=recording, output_bytes=sent)),
        "source": None,
    }


def _verdict(request: web.Request, good: bool, details: dict[str, Any]) -> web.Response:
    """What an orchestrator is told; the details are for those who may see everything."""
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    shown = details if viewer_of(request).sees_everything else {}
    return web.json_response({"ok": good, **shown}, status=status)


def _file(request: web.Request, name: str) -> web.Response:
    """One of the page's files; a browser asks each time and mostly hears that it has the right one."""
    asset = ASSETS.get(name)
    if asset is None:
        raise web.HTTPNotFound
    headers = {hdrs.CACHE_CONTROL: "no-cache"}
    if any(tag.value == asset.etag for tag in request.if_none_match or ()):
        response = web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    else:
        response = web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8", headers=headers)
    response.etag = ETag(asset.etag)
    return response
