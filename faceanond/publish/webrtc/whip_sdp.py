"""What we offer to a WHIP server, and what is taken of its answer. Pure text, no I/O.

Rule, as with viewers: aiortc never sees a line that a server wrote. What is needed is taken out of the answer by strict
patterns, and a fresh description is made of it. mDNS and TCP candidates are left out, and so is `end-of-candidates`, so
that ICE waits for the server's own checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from faceanond.errors import PushError, PushFault
from faceanond.publish.webrtc.lines import ICE_PWD, ICE_UFRAG, MID, Candidates, read_fingerprint

LONGEST = 64 * 1024
"""Characters of an answer; servers send two thousand."""
MOST_CANDIDATES = 32
"""Each costs connectivity checks, sent to an address that the server names."""

_MEDIA = re.compile(r"m=video (\d{1,5}) UDP/TLS/RTP/SAVPF((?: \d{1,3}){1,64})")
_TRANSPORT = {
    "ice-ufrag": ICE_UFRAG,
    "ice-pwd": ICE_PWD,
    "setup": re.compile(r"active|passive"),
}
_CODEC = {
    "rtpmap": re.compile(r"(\d{1,3}) (?i:H264/90000|rtx/90000)"),
    "fmtp": re.compile(r"(\d{1,3}) [\x20-\x7e]{1,256}"),
    "rtcp-fb": re.compile(r"(\d{1,3}) (?:nack|nack pli|ccm fir)"),
}
_PARAMETER = re.compile(
    r"apt=\d{1,3}|packetization-mode=[01]|level-asymmetry-allowed=[01]|profile-level-id=[0-9a-fA-F]{6}"
)


def read_answer(text: str, *, loopback: bool) -> str:
    """The answer for aiortc; with `loopback` the server is on this machine. Raises PushError."""
    if len(text) > LONGEST:
        raise _malformed(f"it is longer than {LONGEST} characters")
    lines = [line.rstrip("\r") for line in text.strip().split("\n")]
    starts = [number for number, line in enumerate(lines) if line.startswith("m=")]
    if lines[0] != "v=0" or len(starts) != 1:
        raise _malformed("it has not exactly one media section, as the offer has")
    session, video = lines[: starts[0]], lines[starts[0] :]
    media = _MEDIA.fullmatch(video[0])
    if media is None:
        raise _malformed("its media section is not the video that was offered")
    if media[1] == "0" or "a=inactive" in video:
        raise PushError(PushFault.REFUSED, "the server does not take the video: does it know H.264 Baseline?")
    types = [number for number in media[2].split() if int(number) < 128]
    codecs = list(_codecs(video, types))
    if not any(line.startswith("a=rtpmap") for line in codecs):
        raise PushError(PushFault.REFUSED, "the server does not take H.264 Baseline")
    mid = next((value for value in _values(video, "mid") if MID.fullmatch(value)), None)
    if mid is None:
        raise _malformed("its media section has no a=mid")
    candidates = Candidates(most=MOST_CANDIDATES, loopback=loopback)
    fresh = [
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        *(["a=ice-lite"] if "a=ice-lite" in session else []),
        f"a=group:BUNDLE {mid}",
        f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(types)}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        "a=recvonly",
        "a=rtcp-mux",
        *(f"a={name}:{_required((video, session), name)}" for name in (*_TRANSPORT, "fingerprint")),
        *codecs,
        *(f"a=candidate:{one}" for one in candidates.fresh(_values(video, "candidate"))),
    ]
    return "\r\n".join(fresh) + "\r\n"


def _values(lines: Sequence[str], name: str) -> Iterator[str]:
    start = f"a={name}:"
    return (line.removeprefix(start) for line in lines if line.startswith(start))


def _required(places: Sequence[Sequence[str]], name: str) -> str:
    for place in places:
        for value in _values(place, name):
            if (usable := _usable(name, value)) is not None:
                return usable
    raise _malformed(f"it has no valid a={name}")


def _usable(name: str, value: str) -> str | None:
    if name == "fingerprint":
        return read_fingerprint(value)
    return value if _TRANSPORT[name].fullmatch(value) else None


def _codecs(video: Sequence[str], types: Sequence[str]) -> Iterator[str]:
    found = {
        name: [(match[1], value) for value in _values(video, name) if (match := pattern.fullmatch(value))]
        for name, pattern in _CODEC.items()
    }
    # What is told about a type without a name is about nothing, and aiortc stumbles over it.
    named = {number for number, _ in found["rtpmap"]} & set(types)
    for name, values in found.items():
        for number, value in values:
            text = _known(number, value) if name == "fmtp" else value
            if number in named and text is not None:
                yield f"a={name}:{text}"


def _known(number: str, value: str) -> str | None:
    """Format parameters without those that are not known; None when none are left."""
    parts = [part.strip() for part in value.partition(" ")[2].split(";")]
    known = [part for part in parts if _PARAMETER.fullmatch(part)]
    return f"{number} {';'.join(known)}" if known else None


def _malformed(why: str) -> PushError:
    return PushError(PushFault.MALFORMED, f"the server's answer is not understood: {why}")
