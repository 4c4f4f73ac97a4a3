"""WHEP over HTTP (draft-ietf-wish-whep): reads the request, asks the service, chooses the status code.

One decision per status: 400 not a session description, 404 no such camera or session, or not this viewer's, 406 the
client takes no SDP or offers no codec that is served, 409 the camera has no stream now, 413 body too large, 415 not the
media type that belongs there, 429 too many from one address or by one viewer, 503 no place for a viewer or stopping.

PATCH takes candidates that a viewer finds after its offer (trickle ICE). As the draft says, it must name the session's
entity tag, which never changes (428 without, 412 for another one), and asking for an ICE restart, which is not
supported, is 422 and leaves the session as it is.
"""

from __future__ import annotations

import asyncio
import hashlib
from http import HTTPStatus

from aiohttp import ETag, hdrs, web
from multidict import CIMultiDict

from faceanond.clock import Clock
from faceanond.config.model import IceServer
from faceanond.publish.webrtc.errors import (
    MalformedOfferError,
    NoStreamError,
    OfferError,
    TooManyViewersError,
    UnsupportedOfferError,
)
from faceanond.shares import OverShareError
from faceanond.web.auth import camera_of, viewer_of
from faceanond.web.guard import Guard, is_preflight
from faceanond.web.limit import OfferLimit
from faceanond.web.problem import ProblemError, later
from faceanond.web.view import Fleet, Whep
from faceanond.web.who import who

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
LARGEST_OFFER = 64 * 1024
"""Bytes; a browser's offer has five to ten thousand."""
RETRY_STREAM = 5
"""Seconds after which a camera without a stream may have one."""
BODY_WITHIN = 10.0
"""Seconds for an offer or a fragment to arrive: players send them in one piece."""


class WhepRoutes:
    """The handlers of `/whep/NAME` and `/whep/NAME/SESSION`."""

    def __init__(
        self, fleet: Fleet, service: Whep, guard: Guard, clock: Clock, ice_servers: tuple[IceServer, ...] = ()
    ) -> None:
        self._fleet = fleet
        self._service = service
        self._guard = guard
        self._clock = clock
        self._links = [link for server in ice_servers for link in _links(server)]
        self._offers = OfferLimit()
        self._fragments = OfferLimit()

    def install(self, app: web.Application) -> None:
        endpoint, session = "/whep/{name}", "/whep/{name}/{session}"
        app.router.add_get(endpoint, self.describe)
        app.router.add_post(endpoint, self.offer)
        app.router.add_options(endpoint, self.options)
        app.router.add_get(session, self.exists)
        app.router.add_patch(session, self.trickle)
        app.router.add_delete(session, self.end)
        app.router.add_options(session, self.session_options)

    async def describe(self, request: web.Request) -> web.Response:
        """Nothing, of the type by which players recognise a WHEP endpoint."""
        self._camera(request)
        return web.Response(content_type=SDP, headers={"Accept-Post": SDP})

    async def offer(self, request: web.Request) -> web.Response:
        name = self._camera(request)
        if request.content_type != SDP:
            raise _unsupported(SDP, "Accept-Post")
        if not _accepts_sdp(request.headers.get(hdrs.ACCEPT)):
            raise ProblemError(HTTPStatus.NOT_ACCEPTABLE, f"the answer is {SDP}, which the Accept header excludes")
        self._slow_down(self._offers, request, "offers")
        sdp = await _text(request)
        try:
            local, remote = _ends(request)
            owner, client = who(request)
            answer = await self._service.offer(name, sdp, local=local, remote=remote, owner=owner, client=client)
        except OverShareError as error:
            raise later(HTTPStatus.TOO_MANY_REQUESTS, str(error), error.retry_after) from None
        except OfferError as error:
            raise _refusal(error) from None
        headers = CIMultiDict({str(hdrs.LOCATION): f"/whep/{name}/{answer.session_id}", "Accept-Patch": FRAGMENT})
        for link in self._links:
            headers.add(hdrs.LINK, link)
        response = web.Response(status=HTTPStatus.CREATED, body=answer.sdp.encode(), content_type=SDP, headers=headers)
        response.etag = _tag(answer.session_id)
        return response

    async def exists(self, request: web.Request) -> web.Response:
        """Nothing: a session can be changed and ended, and shows nothing of itself."""
        session = self._session(request)
        response = web.Response(headers={"Accept-Patch": FRAGMENT})
        response.etag = _tag(session)
        return response

    async def trickle(self, request: web.Request) -> web.Response:
        session = self._session(request)
        if request.content_type != FRAGMENT:
            raise _unsupported(FRAGMENT, "Accept-Patch")
        _require_match(request, _tag(session))
        self._slow_down(self._fragments, request, "requests")
        fragment = await _text(request)
        name, owner = request.match_info["name"], viewer_of(request).name
        try:
            if not await self._service.add_candidates(session, fragment, camera=name, owner=owner):
                raise _no_session()
        except UnsupportedOfferError as error:
            raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        except OfferError as error:
            raise _refusal(error) from None
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def end(self, request: web.Request) -> web.Response:
        """Also good for a session that has ended already: who repeats a request that got lost wants to hear that."""
        name, session = request.match_info["name"], request.match_info["session"]
        if not await self._service.end(session, camera=name, owner=viewer_of(request).name):
            raise _no_session()
        return web.Response()

    async def options(self, request: web.Request) -> web.Response:
        response = self._allowing(request, "GET", "HEAD", "POST", "OPTIONS")
        response.headers["Accept-Post"] = SDP
        if not is_preflight(request):  # that asks before anybody has logged in
            self._camera(request)
            for link in self._links:
                response.headers.add(hdrs.LINK, link)
        return response

    async def session_options(self, request: web.Request) -> web.Response:
        response = self._allowing(request, "GET", "HEAD", "PATCH", "DELETE", "OPTIONS")
        response.headers["Accept-Patch"] = FRAGMENT
        return response

    def _allowing(self, request: web.Request, *methods: str) -> web.Response:
        response = self._guard.preflight(request, methods)
        response.headers[hdrs.ALLOW] = ", ".join(methods)
        return response

    def _camera(self, request: web.Request) -> str:
        camera_of(request, self._fleet)
        return request.match_info["name"]

    def _session(self, request: web.Request) -> str:
        name, session = request.match_info["name"], request.match_info["session"]
        if not self._service.has(session, camera=name, owner=viewer_of(request).name):
            raise _no_session()
        return session

    def _slow_down(self, limit: OfferLimit, request: web.Request, what: str) -> None:
        viewer, address = viewer_of(request).name, request.remote or ""
        if wait := limit.ask(address, self._clock.monotonic(), viewer=viewer):
            whose = "by this viewer at" if viewer else "from"
            raise later(HTTPStatus.TOO_MANY_REQUESTS, f"too many {what} {whose} this address", wait)


async def _text(request: web.Request) -> str:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > LARGEST_OFFER:
                    raise ProblemError(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body here has at most {LARGEST_OFFER} bytes"
                    )
    except TimeoutError:
        raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {BODY_WITHIN:.0f} s") from None
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "the body is not UTF-8 text") from None


def _tag(session: str) -> str:
    """The entity tag of a session's ICE credentials, which stay the same for its whole life."""
    return hashlib.sha256(session.encode()).hexdigest()[:16]


def _require_match(request: web.Request, tag: str) -> None:
    given = request.if_match
    if not given:
        raise ProblemError(
            HTTPStatus.PRECONDITION_REQUIRED, "say which session is meant: If-Match with the ETag of the answer"
        )
    if not any(one.value == "*" or one == ETag(tag) for one in given):
        raise ProblemError(HTTPStatus.PRECONDITION_FAILED, "If-Match names another entity tag than the answer's ETag")


def _links(server: IceServer) -> list[str]:
    """Link headers that tell a player of a STUN or TURN server (RFC 9725, section 4.6)."""
    login = ""
    if server.username is not None and server.credential is not None:
        secret = server.credential.get_secret_value()
        if not (server.username + secret).isprintable():
            return []  # a header cannot carry that
        login = f'; username={_quoted(server.username)}; credential={_quoted(secret)}; credential-type="password"'
    return [f'<{url}>; rel="ice-server"{login if url.startswith("turn") else ""}' for url in server.urls]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _no_session() -> ProblemError:
    return ProblemError(HTTPStatus.NOT_FOUND, "there is no such session; it may have ended already")


def _unsupported(expected: str, header: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be {expected}", {header: expected})


def _refusal(error: OfferError) -> ProblemError:
    match error:
        case MalformedOfferError():
            return ProblemError(HTTPStatus.BAD_REQUEST, str(error))
        case UnsupportedOfferError():
            return ProblemError(HTTPStatus.NOT_ACCEPTABLE, str(error))
        case NoStreamError():
            return later(HTTPStatus.CONFLICT, str(error), RETRY_STREAM)
        case TooManyViewersError():
            return later(HTTPStatus.SERVICE_UNAVAILABLE, str(error), error.retry_after)
    return later(HTTPStatus.SERVICE_UNAVAILABLE, str(error), RETRY_STREAM)


def _accepts_sdp(accept: str | None) -> bool:
    """Whether an Accept header leaves room for the answer; a missing one leaves room for everything."""
    if accept is None or not accept.strip():
        return True
    for item in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        if kind in (SDP, "application/*", "*/*"):
            weight = next((value[2:] for value in parameters if value.startswith("q=")), "1")
            if weight.rstrip("0") not in ("", "0."):
                return True
    return False


def _ends(request: web.Request) -> tuple[str | None, str | None]:
    """The address of ours on which the request came in, and the viewer's.

    Nothing of a request that a proxy passed on: its connection shows the way between the proxy and us, which is no way
    for viewers, and often an address of a container's bridge that should stay inside.
    """
    transport = request.transport
    name = transport.get_extra_info("sockname") if transport is not None else None
    if not isinstance(name, tuple) or any(header in request.headers for header in PASSED_ON):
        return None, None
    return str(name[0]).partition("%")[0], request.remote


PASSED_ON = (hdrs.FORWARDED, hdrs.X_FORWARDED_FOR, "X-Real-IP", hdrs.VIA)
"""Headers that proxies add. A viewer who forges one gets fewer addresses, and nothing that others have."""
