"""The login at an RTSP server: Basic and Digest (RFC 7617, RFC 7616, and RFC 2069 for old servers). Pure.

The rule: of what the server offers the strongest is used: Digest with SHA-256, Digest with MD5, Basic. Basic sends the
password readable, so it is used only where the caller allows it; a server, or whoever poses as one, cannot ask it out
of us.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from faceanond.publish.rtsp.digest import response

LONGEST = 8 * 1024
"""Characters of a WWW-Authenticate header that are looked at."""
STRENGTH = {"SHA-256": 2, "MD5": 1}
"""The algorithms of Digest that are known, the stronger ones higher."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}"  # noqa: S105
_SCHEME = re.compile(rf"({_TOKEN})(?=[ \t]|,|$)(?![ \t]*=)")
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_GAP = re.compile(r"[ \t,]*")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in that the server offers; `scheme` and the names of `parameters` are in lower case."""

    scheme: str
    parameters: dict[str, str]

    @property
    def algorithm(self) -> str:
        return self.parameters.get("algorithm", "MD5").upper()

    @property
    def strength(self) -> int:
        """Which of several to take: the highest; 0 for what is not known here."""
        if self.scheme == "basic":
            return 1
        if self.scheme != "digest" or "nonce" not in self.parameters:
            return 0
        qop = self.parameters.get("qop")
        if qop is not None and "auth" not in (word.strip().lower() for word in qop.split(",")):
            return 0
        known = STRENGTH.get(self.algorithm)
        return 0 if known is None else 1 + known


def challenges(header: str) -> list[Challenge]:
    """Every challenge of a WWW-Authenticate header; several such headers come joined by commas.

    What is malformed is left out: it offers nothing.
    """
    header = header[:LONGEST]
    found: list[Challenge] = []
    place = _end(_GAP, header, 0)
    while place < len(header):
        scheme = _SCHEME.match(header, place)
        parameter = _PARAMETER.match(header, place)
        if parameter is not None:
            if found:
                quoted = parameter[2]
                value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else parameter[3]
                found[-1].parameters.setdefault(parameter[1].lower(), value)
            place = parameter.end()
        elif scheme is not None:
            found.append(Challenge(scheme[1].lower(), {}))
            place = scheme.end()
            # Negotiate and its kin carry one token in place of parameters.
            after = _end(_GAP, header, place)
            if _PARAMETER.match(header, after) is None and _SCHEME.match(header, after) is None:
                place = _end(_TOKEN68, header, after)
        else:
            place += 1
        place = _end(_GAP, header, place)
    return found


def _end(pattern: re.Pattern[str], text: str, place: int) -> int:
    match = pattern.match(text, place)
    return place if match is None else match.end()


class Login:
    """Answers one server's challenges with one user's name and password.

    `basic_only` says after `take` whether the server offered nothing better than a Basic that is not allowed.
    """

    def __init__(
        self,
        username: str,
        password: str,
        *,
        allow_basic: bool,
        cnonce: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._username = username
        self._password = password
        self._allow_basic = allow_basic
        self._cnonce = cnonce
        self._challenge: Challenge | None = None
        self._count = 0
        self.basic_only = False

    def take(self, header: str) -> bool:
        """Chooses among the challenges of a 401 answer; False when none of them is known here, or allowed."""
        known = [challenge for challenge in challenges(header) if challenge.strength]
        offers = [challenge for challenge in known if challenge.scheme != "basic" or self._allow_basic]
        self._challenge = max(offers, key=lambda offer: offer.strength, default=None)
        self._count = 0
        self.basic_only = bool(known) and not offers
        return self._challenge is not None

    @property
    def stale(self) -> bool:
        """Whether the last challenge only says that the nonce was too old."""
        return self._challenge is not None and self._challenge.parameters.get("stale", "").lower() == "true"

    def authorization(self, method: str, uri: str) -> str | None:
        """The Authorization header of a request; None before any challenge."""
        if self._challenge is None:
            return None
        if self._challenge.scheme == "basic":
            pair = f"{self._username}:{self._password}".encode()
            return f"Basic {base64.b64encode(pair).decode('ascii')}"
        return self._digest(self._challenge, method, uri)

    def _digest(self, challenge: Challenge, method: str, uri: str) -> str:
        given = challenge.parameters
        realm, nonce = given.get("realm", ""), given["nonce"]
        fields = {"username": self._username, "realm": realm, "nonce": nonce, "uri": uri}
        plain: dict[str, str] = {}
        if "algorithm" in given:
            plain["algorithm"] = given["algorithm"]
        once = None
        if "qop" in given:
            self._count += 1
            once = f"{self._count:08x}", self._cnonce()
        fields["response"] = response(
            challenge.algorithm,
            secret=f"{self._username}:{realm}:{self._password}",
            request=f"{method}:{uri}",
            nonce=nonce,
            once=once,
        )
        if once is not None:
            plain |= {"qop": "auth", "nc": once[0]}
            fields["cnonce"] = once[1]
        if "opaque" in given:
            fields["opaque"] = given["opaque"]
        parts = [f'{name}="{_quoted(value)}"' for name, value in fields.items()]
        return "Digest " + ", ".join([*parts, *(f"{name}={value}" for name, value in plain.items())])


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
