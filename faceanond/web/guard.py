"""What holds for every request: who may ask, which headers every answer carries, and how errors look.

Host names: a page on the internet can let its own name resolve to 127.0.0.1 and read what a browser on this machine
sees there (DNS rebinding). So while we listen on loopback only its own names are served, and those of
`http.allowed_origins` (a reverse proxy in front of us). The same goes for our address in a local network while no
password is asked for: then only addresses are served, and names that nobody on the internet can own.

Origins: nothing is given to pages of other origins unless `http.allowed_origins` names them. Browsers send passwords
and open WebSockets by themselves, also for other people's pages; so whatever changes something, and every WebSocket, is
refused to a page that we do not know, whether the browser names it (Origin) or only says that it is foreign
(Sec-Fetch-Site).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from aiohttp import hdrs, web

from faceanond.config.model import Http
from faceanond.web.problem import ProblemError, problem

log = structlog.get_logger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
CHANGING = frozenset({hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_PATCH, hdrs.METH_DELETE})
READING = (hdrs.METH_GET, hdrs.METH_HEAD)
LOCAL_NAMES = (".localhost", ".local", ".lan", ".home", ".internal", ".home.arpa", ".localdomain")
"""Ends of names that are for local networks, or that no registry gives away."""
ANY_ORIGIN = "*"
EXPOSED = ", ".join((hdrs.LOCATION, hdrs.ETAG, hdrs.LINK, "Accept-Patch", "Accept-Post", hdrs.RETRY_AFTER))
"""What a page of an allowed origin may read of an answer, besides its body."""
ASKABLE = "Authorization, Content-Type, If-Match"
"""What it may send."""
PREFLIGHT_AGE = "600"
"""Seconds that a browser may remember what it was told about a preflight."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine as seen only from itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(authority: str) -> str | None:
    """The host of a Host header (lower case, without port and brackets), or None when there is none in it."""
    try:
        host = urlsplit(f"//{authority}").hostname
    except ValueError:
        return None
    return host.rstrip(".") if host else None


def is_local_name(host: str) -> bool:
    """Whether a host is an address, or a name that has no owner on the internet, so that no page comes from there."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(LOCAL_NAMES)
    return True


class Guard:
    """The middlewares and the signal that `install` puts into an application. `is_open`: no password is asked for."""

    def __init__(self, settings: Http, *, is_open: bool) -> None:
        self._is_open = is_open
        self._loopback_only = is_loopback(settings.listen[0])
        self._listen_host = settings.listen[0].lower()
        self._origins = frozenset(origin.rstrip("/").lower() for origin in settings.allowed_origins)
        self._hosts = {host for origin in self._origins if (host := urlsplit(origin).hostname)}

    def install(self, app: web.Application) -> None:
        app.middlewares.append(_errors)
        app.middlewares.append(self._admission)
        app.on_response_prepare.append(self._finish)

    def allows(self, origin: str) -> bool:
        """Whether a page of that other origin may watch."""
        return ANY_ORIGIN in self._origins or origin.lower() in self._origins

    @web.middleware
    async def _admission(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = host_of(request.headers.get(hdrs.HOST, ""))
        if host is None:
            raise ProblemError(HTTPStatus.BAD_REQUEST, "the request has no valid Host header")
        if self._loopback_only and not (is_loopback(host) or host == self._listen_host or host in self._hosts):
            raise ProblemError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this server listens on loopback and does not answer to that host name; behind a reverse proxy add "
                'its address to http.allowed_origins, such as "https://cameras.example.org"',
            )
        if self._is_open and not (is_local_name(host) or host == self._listen_host or host in self._hosts):
            raise ProblemError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "without [viewers] this server answers to addresses and to local names only; set a password, or add "
                'this name to http.allowed_origins, such as "https://cameras.example.org"',
            )
        if (request.method in CHANGING or hdrs.UPGRADE in request.headers) and self._is_foreign(request):
            raise ProblemError(HTTPStatus.FORBIDDEN, "pages of that origin may not do this; see http.allowed_origins")
        if is_preflight(request) and request.match_info.http_exception is not None:
            return self.preflight(request)  # of a resource that has no OPTIONS of its own
        return await handler(request)

    def _is_foreign(self, request: web.Request) -> bool:
        """Whether a page of an origin that is neither ours nor allowed makes the request; programs name no origin."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
        return not is_same_origin(origin, request) and not self.allows(origin)

    def preflight(self, request: web.Request, methods: Iterable[str] = READING) -> web.Response:
        """The answer to a browser that asks, before a request of a page of another origin, whether that may be made;
        the allowing header itself is `_finish`'s."""
        response = web.Response()
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and self.allows(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = ", ".join(methods)
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ASKABLE
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = PREFLIGHT_AGE
        return response

    async def _finish(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)
        response.headers.popall(hdrs.SERVER, None)
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        origin = request.headers.get(hdrs.ORIGIN)
        if self._origins:
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if origin is not None and self.allows(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED


def is_preflight(request: web.Request) -> bool:
    """Whether a browser only asks what a page of another origin may do. It never sends credentials with that."""
    return request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers


def is_same_origin(origin: str, request: web.Request) -> bool:
    """By host and port alone: behind a proxy that ends TLS we do not know the page's scheme."""
    try:
        authority = urlsplit(origin).netloc
    except ValueError:  # brackets without an address, which no browser sends
        return False
    return authority.lower() == request.headers.get(hdrs.HOST, "").lower()


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as JSON; what nobody foresaw is logged and told to nobody else."""
    try:
        return await handler(request)
    except ProblemError as error:
        return problem(error.status, error.detail, error.headers)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        status = HTTPStatus(error.status)
        headers = {str(hdrs.ALLOW): error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else None
        return problem(status, _DETAILS.get(status, status.description or status.phrase), headers)
    except Exception:  # The edge to the network: one request must not take the server down.
        log.exception("request failed", method=request.method, path=request.path)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the log of faceanond says more")


_DETAILS = {
    HTTPStatus.NOT_FOUND: "there is nothing here",
    HTTPStatus.METHOD_NOT_ALLOWED: "the Allow header names the methods of this resource",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is larger than any request here needs",
}
