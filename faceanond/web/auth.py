"""Who may ask for what over HTTP: the one place that every request passes before its handler.

A viewer shows who it is by `Authorization`: Basic with name and password, which browsers ask people for, or Bearer with
a token, for WHEP players and scripts. Rights are read off the route's template, so that a new route below a camera's
name is guarded without being mentioned here, and any other new route is for those alone who may see everything.

A camera that a viewer may not see is to it one that does not exist: the same answer, in the same words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from http import HTTPStatus

from aiohttp import hdrs, web
from multidict import CIMultiDict

from faceanond.access import ANYBODY, Access, Viewer
from faceanond.logins import FailedLogins
from faceanond.web.guard import is_preflight, is_same_origin
from faceanond.web.problem import ProblemError, later
from faceanond.web.remembered import Credentials, Remembered, read
from faceanond.web.view import CameraView, Fleet

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROTOCOL = "http"
"""How wrong logins are counted."""
REALM = 'realm="faceanond"'
NOBODY = Viewer("", ())
"""Who asks without credentials, where that is enough."""

_CAMERAS = ("/cameras/{name}", "/api/cameras/{name}", "/whep/{name}")
"""Everything at and below these is about one camera."""
_ANY_VIEWER = frozenset({"/", "/api/cameras"})
"""What only lists the cameras that the viewer may see."""
_EVERYBODY = frozenset({"/healthz", "/readyz", "/static/{file}", "/favicon.ico"})
"""Health without details, for orchestrators, and the page's own files, which are the same for all."""
_SCRIPTED = ("/api/", "/whep/")
"""Where no person waits for the answer: a browser's window that asks for a password would come out of nowhere."""

_VIEWER = web.RequestKey("viewer", Viewer)


class Right(Enum):
    """What a request needs."""

    NOTHING = auto()
    LOGIN = auto()
    CAMERA = auto()
    EVERYTHING = auto()


def needed(template: str | None) -> Right:
    """What a route needs, by its template; None when no route fits the request, which then tells nothing."""
    if template in _EVERYBODY:
        return Right.NOTHING
    if template is None or template in _ANY_VIEWER:
        return Right.LOGIN
    if any(template == camera or template.startswith(f"{camera}/") for camera in _CAMERAS):
        return Right.CAMERA
    return Right.EVERYTHING


def viewer_of(request: web.Request) -> Viewer:
    """Who makes the request."""
    return request[_VIEWER]


def no_such_camera() -> ProblemError:
    """The answer about a camera that does not exist, or not for this viewer."""
    return ProblemError(HTTPStatus.NOT_FOUND, "there is no camera of that name")


def camera_of(request: web.Request, fleet: Fleet) -> CameraView:
    """The camera that the request's path names. Raises ProblemError when there is none."""
    view = fleet.camera(request.match_info["name"])
    if view is None:
        raise no_such_camera()
    return view


class Auth:
    """The middleware that `install` puts into an application; its guard must have been installed before."""

    def __init__(self, access: Access, failures: FailedLogins) -> None:
        self._access = access
        self._failures = failures
        self._remembered = Remembered()

    def install(self, app: web.Application) -> None:
        app.middlewares.append(self._admission)

    @web.middleware
    async def _admission(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        request[_VIEWER] = self._admitted(request)
        return await handler(request)

    def _admitted(self, request: web.Request) -> Viewer:
        """The viewer, who may make this request. Raises ProblemError."""
        if self._access.open:
            return ANYBODY
        if is_preflight(request):
            return NOBODY
        viewer = self._viewer(request)
        resource = request.match_info.route.resource
        right = needed(resource.canonical if resource is not None else None)
        if right is Right.NOTHING:
            return viewer or NOBODY
        if viewer is None:
            raise _unauthorised(request, "log in with the name and password, or the token, of a viewer")
        if right is Right.CAMERA and not viewer.may_watch(request.match_info["name"]):
            raise no_such_camera()
        if right is Right.EVERYTHING and not viewer.sees_everything:
            raise ProblemError(HTTPStatus.FORBIDDEN, "this is for viewers who may see every camera")
        return viewer

    def _viewer(self, request: web.Request) -> Viewer | None:
        """Who the credentials belong to; None without any. Raises ProblemError when they are wrong.

        An address with many wrong logins must wait, but not a viewer that has been right there before: everybody
        behind one proxy or NAT has the same address.
        """
        given = request.headers.get(hdrs.AUTHORIZATION)
        if given is None:
            return None
        address, login = request.remote or "", read(given)
        viewer = self._remembered.right(address, login)
        if viewer is not None:
            return viewer
        again = self._remembered.was_wrong(address, login)
        if not again and (wait := self._failures.wait(address)):
            raise later(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong logins from this address", wait)
        viewer = self._judge(login)
        if viewer is None:
            self._remembered.note_wrong(address, login)
            claimed = login.name if self._access.viewer(login.name) else ""
            self._failures.note(PROTOCOL, address, name=claimed, again=again)
            raise _unauthorised(request, "the name and password, or the token, are wrong", wrong=given)
        self._remembered.note_right(address, login, viewer)
        return viewer

    def _judge(self, login: Credentials) -> Viewer | None:
        """Who the credentials belong to, if anybody."""
        match login.scheme:
            case "bearer":
                return self._access.by_token(login.secret)
            case "basic":
                return self._access.by_password(login.name, login.secret)
        return None


def _unauthorised(request: web.Request, detail: str, *, wrong: str = "") -> ProblemError:
    """401 with the ways to log in.

    Basic makes a browser ask its user, so it is left out where the asking page is another site's, and where a script
    has tried already: the page then says what is wrong. Without credentials it is there even for scripts, since
    browsers look for a password that they know only when they see it.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    foreign = origin is not None and not is_same_origin(origin, request)
    headers = CIMultiDict[str]()
    if not foreign and not (wrong and _is_script(request)):
        headers.add(hdrs.WWW_AUTHENTICATE, f'Basic {REALM}, charset="UTF-8"')
    invalid = ', error="invalid_token"' if wrong.lower().startswith("bearer ") else ""
    headers.add(hdrs.WWW_AUTHENTICATE, f"Bearer {REALM}{invalid}")
    return ProblemError(HTTPStatus.UNAUTHORIZED, detail, headers)


def _is_script(request: web.Request) -> bool:
    mode = request.headers.get("Sec-Fetch-Mode")
    return request.path.startswith(_SCRIPTED) or (mode is not None and mode != "navigate")
