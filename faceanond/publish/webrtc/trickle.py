"""Candidates that a viewer sends after its offer: reads the SDP fragment (RFC 8840) of a trickling viewer. Pure text.

They matter where we are behind NAT ourselves: then our own check must go out first, and it needs the viewer's address.
Elsewhere the viewer's checks reveal where it is, so nothing is lost by leaving a candidate out. The same patterns
decide as for those of the offer, and they count together with them. `end-of-candidates` is understood and
changes nothing: ICE goes on waiting for the viewer's checks.
"""

from __future__ import annotations

import re

from faceanond.publish.webrtc.errors import MalformedOfferError, UnsupportedOfferError
from faceanond.publish.webrtc.lines import Candidates
from faceanond.publish.webrtc.sdp import MOST_CANDIDATES

LONGEST = 16 * 1024
"""Characters: sixteen candidates have two thousand."""

CANDIDATE = "a=candidate:"
_LINE = re.compile(r"[a-z]=[^\r\n]+")


class Trickle:
    """The candidates of one viewer. `offer` is the text that was made of its offer."""

    def __init__(self, offer: str) -> None:
        lines = offer.splitlines()
        self._credentials = {
            name: line.partition(":")[2] for line in lines for name in ("ice-ufrag", "ice-pwd") if f"a={name}:" in line
        }
        self._candidates = Candidates(most=MOST_CANDIDATES)
        self._candidates.fresh(line.removeprefix(CANDIDATE) for line in lines if line.startswith(CANDIDATE))

    @property
    def ignored(self) -> int:
        """The candidates in fragments that were too many."""
        return self._candidates.ignored

    def read(self, fragment: str) -> list[str]:
        """The candidates in a fragment that are new and may be checked, each as the value of an a=candidate line.

        Raises MalformedOfferError, or UnsupportedOfferError when the fragment asks for an ICE restart; nothing of such
        a fragment counts.
        """
        values: list[str] = []
        for number, line in enumerate(_lines(fragment), start=1):
            if not line.isprintable() or _LINE.fullmatch(line) is None:
                raise MalformedOfferError(f"line {number} of the fragment is not of the form x=...")
            name, _, value = line[2:].partition(":")
            if line.startswith("a=") and name in self._credentials and value != self._credentials[name]:
                raise UnsupportedOfferError("ICE cannot be restarted here; make a new offer instead")
            if line.startswith(CANDIDATE):
                values.append(value)
        return self._candidates.fresh(values)


def _lines(fragment: str) -> list[str]:
    if len(fragment) > LONGEST:
        raise MalformedOfferError(f"the fragment is longer than {LONGEST} characters")
    lines = [line.rstrip("\r") for line in fragment.strip().split("\n")]
    if lines == [""]:
        raise MalformedOfferError("the fragment is empty")
    return lines
