"""What holds for every request: who may ask, which headers every answer carries, and how errors look.

Host names: a page on the internet can let its own name resolve to 127.0.0.1 and read what a browser on this machine
sees there (DNS rebinding). So while we listen on loopback only its own names are served, and those of
`http.allowed_origins` (a reverse proxy in front of us).

Origins: nothing is given to pages of other origins unless `http.allowed_origins` names them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
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
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
CHANGING = frozenset({hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_PATCH, hdrs.METH_DELETE})
ANY_ORIGIN = "*"


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


class Guard:
    """The middlewares and the signal that `install` puts into an application."""

    def __init__(self, settings: Http) -> None:
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
        origin = request.headers.get(hdrs.ORIGIN)
        if (
            # Browsers open WebSockets for pages of any origin, and let them read what comes.
            (request.method in CHANGING or hdrs.UPGRADE in request.headers)
            and origin is not None
            and not _same_origin(origin, request)
            and not self.allows(origin)
        ):
            raise ProblemError(HTTPStatus.FORBIDDEN, "pages of that origin may not do this; see http.allowed_origins")
        return await handler(request)

    async def _finish(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)
        response.headers.popall(hdrs.SERVER, None)
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        origin = request.headers.get(hdrs.ORIGIN)
        if self._origins:
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if origin is not None and self.allows(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = "Location, ETag, Retry-After"


def _same_origin(origin: str, request: web.Request) -> bool:
    """By host and port alone: behind a proxy that ends TLS we do not know the page's scheme."""
    return urlsplit(origin).netloc.lower() == request.headers.get(hdrs.HOST, "").lower()


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
