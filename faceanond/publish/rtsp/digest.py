"""Digest authentication (RFC 7616, and RFC 2617 and 2069 as players speak them), and Basic for inside TLS. Pure.

The rule: what a client sends is proof for one connection only, because the nonce is that connection's own and lives for
a minute. So nobody needs to remember which ones were used, and what somebody overheard is worth nothing elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import re
import secrets
from dataclasses import dataclass, field

from faceanond.publish.rtsp.messages import RtspError
from faceanond.publish.rtsp.paths import camera_of

REALM = "faceanond"
NONCE_LIFE = 60.0
"""Seconds: a player answers at once, a person who types the password does so on a connection of its own."""
ALGORITHMS = ("SHA-256", "MD5")
"""In the order of the challenges. FFmpeg and live555 (VLC) know only MD5, do not look at the algorithm and take the
last challenge; who knows SHA-256 looks at all of them."""

_PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]{1,32})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)')
_HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
_NOBODY = secrets.token_urlsafe(24)
"""What the answer of a name that does not exist is compared with, so that it takes as long as any other."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What an Authorization header of this scheme says. `qop`, `count` and `cnonce` are empty in the old form."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    qop: str = ""
    count: str = ""
    cnonce: str = ""

    def proves(self, password: str | None, method: str, url: str) -> bool:
        """Whether whoever made this knows the password, and made it for this request. None is nobody's password.

        The URL need not be the same to the letter: some players write that of the camera when they set up its track.
        Raises RtspError 400 for a malformed one.
        """
        expected = self.expected(_NOBODY if password is None else password, method)
        right = hmac.compare_digest(expected.encode(), self.response.encode())
        return right and password is not None and self.realm == REALM and camera_of(self.uri) == camera_of(url)

    def expected(self, password: str, method: str) -> str:
        """The response that belongs to the password."""
        return response(
            self.algorithm,
            secret=f"{self.username}:{self.realm}:{password}",
            request=f"{method}:{self.uri}",
            nonce=self.nonce,
            once=(self.count, self.cnonce) if self.qop else None,
        )


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name and a password as they are."""

    username: str
    password: str = field(repr=False)


def response(algorithm: str, *, secret: str, request: str, nonce: str, once: tuple[str, str] | None = None) -> str:
    """What proves that whoever makes a request knows the password (RFC 7616, 3.4).

    `secret` is user, realm and password, `request` method and URI, with colons in between. `once` are the count and the
    cnonce of `qop=auth`; None for the old form (RFC 2069).
    """

    def hashed(text: str) -> str:
        # What came as no UTF-8 is hashed as it came.
        return _HASHES[algorithm](text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()

    middle = nonce if once is None else f"{nonce}:{once[0]}:{once[1]}:auth"
    return hashed(f"{hashed(secret)}:{middle}:{hashed(request)}")


class Nonces:
    """One connection's: its current nonce. Time is an argument."""

    def __init__(self) -> None:
        self._nonce = ""
        self._made = -math.inf

    def current(self, now: float) -> str:
        """The one to answer with: the last one, or a new one when that is too old."""
        if not self.knows(self._nonce, now):
            self._nonce, self._made = secrets.token_hex(16), now
        return self._nonce

    def knows(self, nonce: str, now: float) -> bool:
        """Whether it is this connection's, and not too old."""
        return nonce == self._nonce and now - self._made < NONCE_LIFE


def challenges(nonce: str, *, stale: bool = False, basic: bool = False) -> tuple[str, ...]:
    """The WWW-Authenticate headers, in the order that every player survives. `stale`: only the nonce was too old.

    live555 reads realm, nonce and stale at the front, in this order, or nothing.
    """
    front = f'Digest realm="{REALM}", nonce="{nonce}"' + (", stale=true" if stale else "")
    digests = tuple(f'{front}, algorithm={algorithm}, qop="auth"' for algorithm in ALGORITHMS)
    return (f'Basic realm="{REALM}"', *digests) if basic else digests


def parse(header: str) -> Digest | Basic | None:
    """The value of an Authorization header; None for schemes that are not known. Raises RtspError 400."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "basic":
        return _basic(rest.strip())
    return _digest(rest) if scheme.lower() == "digest" else None


def _basic(text: str) -> Basic:
    try:
        name, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError:  # no base64, or no UTF-8 inside
        raise RtspError(400, "malformed credentials") from None
    if not colon:
        raise RtspError(400, "malformed credentials")
    return Basic(name, password)


def _digest(text: str) -> Digest:
    given: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _PARAMETER.match(text, place)
        if match is None or match[1].lower() in given:
            raise RtspError(400, "malformed credentials")
        quoted, token = match[2], match[3]
        given[match[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if token is None else token
        place = match.end()
    wanted = ("username", "realm", "nonce", "uri", "response")
    if any(not given.get(name) for name in wanted):
        raise RtspError(400, "credentials that lack something")
    algorithm, qop = given.get("algorithm", "MD5").upper(), given.get("qop", "")
    if algorithm not in ALGORITHMS or qop not in ("", "auth"):
        raise RtspError(400, "credentials of a kind that was not offered")
    count, cnonce = given.get("nc", ""), given.get("cnonce", "")
    if qop and not (re.fullmatch(r"[0-9A-Fa-f]{8}", count) and cnonce):
        raise RtspError(400, "credentials that lack something")
    return Digest(
        username=given["username"],
        realm=given["realm"],
        nonce=given["nonce"],
        uri=given["uri"],
        response=given["response"].lower(),
        algorithm=algorithm,
        qop=qop,
        count=count,
        cnonce=cnonce,
    )
