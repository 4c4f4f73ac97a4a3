"""The HTTP half of WHIP (RFC 9725): an offer is posted, a session comes into being, and is deleted at the end.

The rule: the token goes to the configured server only. A redirect (307, 308) is followed, but not from https to http,
and to another server the request goes without the token. No request goes to a place that is nearer to us than the
configured server, see `Network.http`.
"""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp

from faceanond.clock import Clock
from faceanond.errors import PushError, PushFault
from faceanond.publish.deadline import within
from faceanond.publish.push.network import connect_error
from faceanond.publish.push.replies import printable
from faceanond.publish.push.target import PORTS, Target

ANSWER = 10.0
"""Seconds for the answer to a request, with the connection and every redirect."""
FAREWELL = 1.0
"""Seconds for DELETE: the session ends without it, too, only later."""
LARGEST = 64 * 1024
"""Bytes of an answer; servers send two thousand."""
MOST_REDIRECTS = 3
SDP = "application/sdp"


@dataclass(frozen=True, slots=True)
class Session:
    """What the server made of an offer: its answer, the URL at which the session ends, and the session's version."""

    answer: str
    url: str
    etag: str


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    url: str


class Endpoint:
    """One WHIP server; `client` stays its owner's."""

    def __init__(self, target: Target, client: aiohttp.ClientSession, *, clock: Clock) -> None:
        self._target = target
        self._client = client
        self._clock = clock

    async def offer(self, sdp: str) -> Session:
        """Posts the offer. Raises PushError."""
        late = PushError(PushFault.TIMEOUT, f"the server did not answer the offer within {ANSWER:.0f} s")
        reply = await within(self._clock, ANSWER, self._post(sdp), late)
        _require_created(reply, self._clock)
        location = reply.headers.get("Location", "")
        url = _joined(reply.url, location)
        if url is None:
            raise PushError(PushFault.MALFORMED, "the server's answer names no session that could be ended (Location)")
        try:
            return Session(reply.body.decode(), url, reply.headers.get("ETag", ""))
        except UnicodeDecodeError:
            raise PushError(PushFault.MALFORMED, "the server's answer is not UTF-8 text") from None

    async def end(self, session: Session) -> None:
        """Deletes the session, if the server still listens."""
        late = PushError(PushFault.TIMEOUT, "no answer to DELETE")
        try:
            await within(self._clock, FAREWELL, self._request("DELETE", session.url, {}, None), late)
        except PushError:
            return

    async def _post(self, sdp: str) -> _Reply:
        url = self._target.url
        for _ in range(1 + MOST_REDIRECTS):
            reply = await self._request("POST", url, {"Content-Type": SDP, "Accept": SDP}, sdp.encode())
            if reply.status not in (307, 308):
                return reply
            further = _joined(url, reply.headers.get("Location", ""))
            if further is None or (_is_secure(url) and not _is_secure(further)):
                raise PushError(PushFault.REFUSED, "the server redirects to a place that is not followed")
            url = further
        raise PushError(PushFault.REFUSED, f"the server redirects more than {MOST_REDIRECTS} times")

    async def _request(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> _Reply:
        token = self._target.settings.token.get_secret_value()
        if token and _origin(url) == _origin(self._target.url):
            headers = {**headers, "Authorization": f"Bearer {token}"}
        try:
            async with self._client.request(method, url, headers=headers, data=body, allow_redirects=False) as response:
                received = bytearray()
                async for chunk in response.content.iter_any():
                    received += chunk
                    if len(received) > LARGEST:
                        raise PushError(PushFault.MALFORMED, f"the server's answer is longer than {LARGEST} bytes")
                reason = printable(response.reason or "")
                return _Reply(response.status, reason, response.headers, bytes(received), url)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _unreachable(url, error) from None


def _unreachable(url: str, error: Exception) -> PushError:
    host, port = _place(url)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return connect_error(host, port, error.certificate_error)  # type: ignore[arg-type]
    if isinstance(error, aiohttp.ClientConnectorError):
        return connect_error(host, port, error.os_error)
    if isinstance(error, TimeoutError):
        return PushError(PushFault.TIMEOUT, f"no connection to {host}:{port} in time")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError | OSError):
        return PushError(PushFault.CLOSED, "the server closed the connection before it had answered")
    return PushError(PushFault.MALFORMED, f"the server is not understood ({type(error).__name__})")


def _require_created(reply: _Reply, clock: Clock) -> None:
    said = f"with {reply.status} {reply.reason}".rstrip()
    match reply.status:
        case 201:
            if reply.headers.get("Content-Type", "").partition(";")[0].strip().lower() != SDP:
                raise PushError(PushFault.MALFORMED, f"the server's answer is not {SDP}")
            return
        case 401 | 403:
            raise PushError(PushFault.UNAUTHORISED, f"the server refuses the offer {said}: check token in [push]")
        case 404:
            raise PushError(PushFault.NOT_FOUND, f"the server refuses the offer {said}: it has no such path")
        case 406 | 422:
            why = "it does not take H.264 Baseline in one video section"
            raise PushError(PushFault.REFUSED, f"the server refuses the offer {said}: {why}")
        case 301 | 302 | 303:
            why = "a redirect that must not be used here (RFC 9725, 4.5); set url to the place itself"
            raise PushError(PushFault.REFUSED, f"the server answers the offer {said}: {why}")
        case status if 200 <= status < 300:
            raise PushError(PushFault.MALFORMED, f"the server answers the offer {said}, not with 201: is this WHIP?")
    wait = _retry_after(reply.headers.get("Retry-After", ""), clock)
    raise PushError(PushFault.REFUSED, f"the server refuses the offer {said}", retry_after=wait)


def _retry_after(value: str, clock: Clock) -> float:
    """The seconds of a Retry-After header, which may also be a date; 0 when it is neither."""
    if value.isascii() and value.isdigit() and len(value) < 8:
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - clock.wall())
    except (ValueError, OverflowError, TypeError):
        return 0.0


def _joined(base: str, location: str) -> str | None:
    """The absolute URL of a Location header; None when it is none that may be asked."""
    if not location or len(location) > 2048 or not location.isprintable():
        return None
    try:
        url = urljoin(base, location)
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return None
    return url if usable else None


def _is_secure(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def _origin(url: str) -> tuple[str, str, int]:
    return (urlsplit(url).scheme.lower(), *_place(url))


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or PORTS[parts.scheme.lower()]
