"""WHEP over HTTP (draft-ietf-wish-whep): reads the request, asks the service, chooses the status code.

One decision per status: 404 no such camera or session, 406 the client takes no SDP or offers no H.264 Baseline, 409 the
camera has no stream now, 413 body too large, 415 not application/sdp, 400 not a session description, 429 too many
offers from one address, 503 no place for a viewer or stopping. Trickle ICE and ICE restarts are not supported, so
PATCH is 405 (RFC 9725, section 4.3.2); viewers need neither, since their own checks tell us where they are.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import hdrs, web

from faceanond.clock import Clock
from faceanond.publish.webrtc.errors import (
    MalformedOfferError,
    NoStreamError,
    OfferError,
    TooManyViewersError,
    UnsupportedOfferError,
)
from faceanond.web.guard import Guard
from faceanond.web.limit import OfferLimit
from faceanond.web.problem import ProblemError
from faceanond.web.view import Fleet, Whep

SDP = "application/sdp"
LARGEST_OFFER = 64 * 1024
"""Bytes; a browser's offer has five to ten thousand."""
RETRY_STREAM = 5
"""Seconds after which a camera without a stream may have one."""


class WhepRoutes:
    """The handlers of `/whep/NAME` and `/whep/NAME/SESSION`."""

    def __init__(self, fleet: Fleet, service: Whep, guard: Guard, clock: Clock) -> None:
        self._fleet = fleet
        self._service = service
        self._guard = guard
        self._clock = clock
        self._limit = OfferLimit()

    def install(self, app: web.Application) -> None:
        app.router.add_post("/whep/{name}", self.offer)
        app.router.add_options("/whep/{name}", self.options)
        app.router.add_delete("/whep/{name}/{session}", self.end)
        app.router.add_options("/whep/{name}/{session}", self.options)

    async def offer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if self._fleet.camera(name) is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "there is no camera of that name")
        if request.content_type != SDP:
            raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send the offer as {SDP}")
        if not _accepts_sdp(request.headers.get(hdrs.ACCEPT)):
            raise ProblemError(HTTPStatus.NOT_ACCEPTABLE, f"the answer is {SDP}, which the Accept header excludes")
        wait = self._limit.ask(request.remote or "", self._clock.monotonic())
        if wait:
            raise _later(HTTPStatus.TOO_MANY_REQUESTS, "too many offers from this address", wait)
        sdp = await _text(request)
        try:
            answer = await self._service.offer(name, sdp, local=_local_address(request), remote=request.remote)
        except OfferError as error:
            raise _refusal(error) from None
        return web.Response(
            status=HTTPStatus.CREATED,
            body=answer.sdp.encode(),
            content_type=SDP,
            headers={
                hdrs.LOCATION: f"/whep/{name}/{answer.session_id}",
                # The session never changes after its answer, so that one tag is right for its whole life.
                hdrs.ETAG: '"1"',
            },
        )

    async def end(self, request: web.Request) -> web.Response:
        if not await self._service.end(request.match_info["session"], camera=request.match_info["name"]):
            raise ProblemError(HTTPStatus.NOT_FOUND, "there is no such session; it may have ended already")
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def options(self, request: web.Request) -> web.Response:
        """A browser's question before a request from another origin; the allowing header itself is the guard's."""
        session = "session" in request.match_info
        methods = "DELETE, OPTIONS" if session else "POST, OPTIONS"
        headers: dict[str, str] = {hdrs.ALLOW: methods}
        if not session:
            headers["Accept-Post"] = SDP
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and self._guard.allows(origin):
            headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = methods
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = "Content-Type, If-Match"
            headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "600"
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)


async def _text(request: web.Request) -> str:
    body = bytearray()
    try:
        async with asyncio.timeout(OFFER_WITHIN):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > LARGEST_OFFER:
                    raise ProblemError(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an offer has at most {LARGEST_OFFER} bytes"
                    )
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT, f"the offer did not arrive within {OFFER_WITHIN:.0f} s"
        ) from None
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "the offer is not UTF-8 text") from None


def _refusal(error: OfferError) -> ProblemError:
    match error:
        case MalformedOfferError():
            return ProblemError(HTTPStatus.BAD_REQUEST, str(error))
        case UnsupportedOfferError():
            return ProblemError(HTTPStatus.NOT_ACCEPTABLE, str(error))
        case NoStreamError():
            return _later(HTTPStatus.CONFLICT, str(error), RETRY_STREAM)
        case TooManyViewersError():
            return _later(HTTPStatus.SERVICE_UNAVAILABLE, str(error), error.retry_after)
    return _later(HTTPStatus.SERVICE_UNAVAILABLE, str(error), RETRY_STREAM)


def _later(status: HTTPStatus, detail: str, seconds: int) -> ProblemError:
    return ProblemError(status, detail, {str(hdrs.RETRY_AFTER): str(seconds)})


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


def _local_address(request: web.Request) -> str | None:
    """The address of ours on which the request came in."""
    transport = request.transport
    name = transport.get_extra_info("sockname") if transport is not None else None
    if not isinstance(name, tuple):
        return None
    return str(name[0]).partition("%")[0]


OFFER_WITHIN = 10.0
"""Seconds for an offer to arrive: a browser sends it in one piece."""
