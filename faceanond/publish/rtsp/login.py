"""Who the client of one connection is: asks, listens to the answer, and remembers it for as long as the connection.

A connection belongs to the first viewer who logged in on it, and with it its session: nobody else can take it over, and
what follows SETUP needs no new proof. So players are not asked again in mid-play, which many do not survive.
"""

from __future__ import annotations

from faceanond.access import ANYBODY, Access, Viewer
from faceanond.clock import Clock
from faceanond.logins import FailedLogins
from faceanond.publish.rtsp import digest
from faceanond.publish.rtsp.digest import Digest, Nonces
from faceanond.publish.rtsp.messages import Request, RtspError

PROTOCOL = "rtsp"
"""How wrong logins are counted."""
PENALTY = 1.0
"""Seconds that the answer to a wrong login takes: a person does not notice, who guesses does."""


class Login:
    """One connection's. `secure` says that it is inside TLS, where passwords may be sent as they are."""

    def __init__(self, access: Access, failures: FailedLogins, *, peer: str, secure: bool, clock: Clock) -> None:
        self._access = access
        self._failures = failures
        self._peer = peer
        self._secure = secure
        self._clock = clock
        self._nonces = Nonces()
        self.viewer: Viewer | None = ANYBODY if access.open else None
        """Who this is; None until somebody has shown it."""

    async def demand(self, request: Request) -> Viewer:
        """The viewer that makes this request.

        Raises RtspError: 401 with what to prove, 400 for a malformed proof, 403 when the connection is another
        viewer's, 503 while this address must wait because of too many wrong logins.
        """
        if self._access.open:
            return ANYBODY
        now = self._clock.monotonic()
        given = digest.parse(request.header("authorization"))
        if given is None:
            raise self._challenge(now)
        if wait := self._failures.wait(self._peer):
            raise RtspError(503, "too many wrong logins", headers={"Retry-After": str(wait)})
        if isinstance(given, Digest):
            found = self._by_digest(given, request)
            if found is not None and not self._nonces.knows(given.nonce, now):
                raise self._challenge(now, stale=True)
        else:
            # Outside TLS the password was already shown to everybody in between; at least it must not work.
            found = self._access.by_password(given.username, given.password) if self._secure else None
        if found is None:
            known = self._access.viewer(given.username) is not None
            self._failures.note(PROTOCOL, self._peer, name=given.username if known else "")
            await self._clock.sleep(PENALTY)
            raise self._challenge(self._clock.monotonic())
        if self.viewer is not None and self.viewer != found:
            raise RtspError(403, "the connection belongs to another viewer")
        self.viewer = found
        return found

    def _by_digest(self, given: Digest, request: Request) -> Viewer | None:
        right = given.proves(self._access.password_of(given.username), request.method, request.url)
        return self._access.viewer(given.username) if right else None

    def _challenge(self, now: float, *, stale: bool = False) -> RtspError:
        ways = digest.challenges(self._nonces.current(now), stale=stale, basic=self._secure)
        return RtspError(401, headers={"WWW-Authenticate": ways})
