"""Reads a viewer's offer and writes its answer. Pure text, no I/O.

Rule: aiortc never sees a line that a viewer wrote. Everything needed is taken out of the offer by strict patterns, and
a fresh description with one receive-only section in one codec is made of it: H.264, or VP8 for a viewer without. What
is left out on purpose: mDNS and TCP candidates (the viewer's own checks reveal its address to us), `end-of-candidates`
(so that ICE goes on waiting for those checks), bandwidth estimation and header extensions (rate control is the
encoder's), audio and data sections. Those are rejected in the answer with port 0, but for audio in the video's BUNDLE
group, which is inactive: Chromium refuses an answer that rejects the first section of a group whose transport the
others share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from faceanond.publish.packet import Codec
from faceanond.publish.webrtc.errors import MalformedOfferError, UnsupportedOfferError
from faceanond.publish.webrtc.lines import ICE_PWD, ICE_UFRAG, MID, Candidates, read_fingerprint, with_level

LONGEST = 64 * 1024
"""Characters: a browser's offer has five to ten thousand."""
MOST_SECTIONS = 16
MOST_CANDIDATES = 16
"""Of one session, those that come after the offer counted. Chromium and Firefox have under fifteen: for each interface
its own address and what STUN and TURN servers make of it, once or twice. Each costs connectivity checks, sent to an
address that the offer names."""

_MEDIA = re.compile(r"m=([a-z]{1,16}) (\d{1,5})(?:/\d{1,3})? ([A-Za-z/]{1,32})((?: [A-Za-z0-9._-]{1,64}){1,128})")
_RTPMAP = re.compile(r"(\d{1,3}) ([A-Za-z0-9_-]{1,32})/(\d{1,6})(?:/\d{1,2})?")
_FMTP = re.compile(r"(\d{1,3}) (.{1,512})")
_FEEDBACK = re.compile(r"(\d{1,3}|\*) (nack|nack pli)")
_ANSWERED_PLI = re.compile(r"a=rtcp-fb:(\d{1,3}) nack pli")
_BASELINE = re.compile(r"(?i)42[0-9a-f]{4}")
_DYNAMIC = range(96, 128)
"""Payload types that aiortc takes over from an offer; it renumbers others, which no viewer would understand."""


@dataclass(frozen=True, slots=True)
class Section:
    """One media section of the offer, as far as the answer must mirror it."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]

    def values(self, name: str) -> Iterator[str]:
        return (value for attribute, value in self.attributes if attribute == name)

    def first(self, name: str) -> str | None:
        return next(self.values(name), None)


@dataclass(frozen=True, slots=True)
class Offer:
    """A viewer's offer: `text` is what aiortc is given, the rest is what `write_answer` needs.

    `codec` is the one in which the viewer gets its video. `group` is the offer's BUNDLE group (media identifiers),
    empty when the video is not in one. `ignored` counts the candidates that were too many.
    """

    text: str
    codec: Codec
    sections: tuple[Section, ...]
    group: tuple[str, ...]
    ignored: int = 0


def read_offer(text: str) -> Offer:
    """Checks an offer and rebuilds it. Raises MalformedOfferError or UnsupportedOfferError."""
    session, sections = _split(text)
    videos = [section for section in sections if section.kind == "video"]
    if not videos:
        raise UnsupportedOfferError("the offer has no video section; only video is sent here")
    if len(videos) > 1:
        raise UnsupportedOfferError(f"the offer has {len(videos)} video sections; one session carries one camera")
    video = videos[0]
    if video.port == 0 and video.first("bundle-only") is None:
        raise UnsupportedOfferError("the offer's video section is rejected (port 0)")
    if not video.protocol.endswith("TLS/RTP/SAVPF"):
        raise UnsupportedOfferError(f"the offer's video uses {video.protocol}; only UDP/TLS/RTP/SAVPF is served")
    _require_receiver(video, session)
    if video.first("rtcp-mux") is None:
        raise UnsupportedOfferError("the offer's video section lacks a=rtcp-mux")
    mid = video.first("mid")
    if mid is None or MID.fullmatch(mid) is None:
        raise MalformedOfferError("the offer's video section lacks a=mid")
    group = next((value.split()[1:] for value in session.values("group") if value.startswith("BUNDLE ")), [])
    group = [name for name in group if MID.fullmatch(name)] if mid in group else []
    # A bundled section may leave its transport to another section of the group.
    partners = [section for section in sections if section is not video and section.first("mid") in group]
    places = (video, session, *partners)
    codec, codec_lines = _codecs(video)
    candidates = Candidates(most=MOST_CANDIDATES)
    usable = candidates.fresh(value for place in (video, *partners) for value in place.values("candidate"))
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {mid}",
        *codec_lines,
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        "a=recvonly",
        "a=rtcp-mux",
        f"a=ice-ufrag:{_transport(places, 'ice-ufrag', ICE_UFRAG)}",
        f"a=ice-pwd:{_transport(places, 'ice-pwd', ICE_PWD)}",
        *_fingerprints(places),
        f"a=setup:{_transport(places, 'setup', re.compile('actpass|active|passive'))}",
        *(f"a=candidate:{one}" for one in usable),
    ]
    text = "\r\n".join(lines) + "\r\n"
    return Offer(text, codec, tuple(sections), tuple(group), candidates.ignored)


def write_answer(offer: Offer, answer: str, *, level: int = 0) -> str:
    """The answer for the viewer: aiortc's single section in its place, the others of the offer inactive or rejected.

    `level` is the level_idc of the H.264 stream, 0 when unknown; aiortc knows level 3.1 only. A higher one is declared,
    a lower one is not, since the stream may grow.
    """
    head, separator, body = answer.partition("m=video")
    video = [line for each in (separator + body).splitlines() for line in _completed(each, offer, level)]
    parts: list[str] = []
    accepted: list[str] = []
    for section in offer.sections:
        mid = section.first("mid")
        if section.kind == "video":
            parts += video
        elif section.kind == "audio" and mid in offer.group:
            parts += _inactive(section, video)
        else:
            parts += _rejected(section)
            continue
        accepted.append(mid or "")
    lines = [line for line in head.splitlines() if not line.startswith("a=group:")]
    if offer.group:
        lines.append(f"a=group:BUNDLE {' '.join(mid for mid in offer.group if mid in accepted)}")
    return "\r\n".join(lines + parts) + "\r\n"


def _completed(line: str, offer: Offer, level: int) -> Iterator[str]:
    """A line of aiortc's video section, with what it does not know."""
    if line.startswith("a=fmtp:"):
        line = with_level(line, level)
    yield line
    match = _ANSWERED_PLI.fullmatch(line)
    if match and any(f"{match[1]} ccm fir" in section.values("rtcp-fb") for section in offer.sections):
        yield f"a=rtcp-fb:{match[1]} ccm fir"


def _rejected(section: Section) -> list[str]:
    lines = [f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}", "c=IN IP4 0.0.0.0"]
    return lines + [f"a=mid:{mid}" for mid in section.values("mid") if MID.fullmatch(mid)]


def _inactive(section: Section, video: list[str]) -> list[str]:
    """A section over which nothing flows, on the transport of the video."""
    codec = section.formats[0]
    shared = ("a=rtcp-mux", "a=ice-", "a=fingerprint:", "a=setup:", "a=candidate:", "a=end-of-candidates")
    return [
        f"m=audio 9 {section.protocol} {codec}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{section.first('mid')}",
        "a=inactive",
        *(
            f"a=rtpmap:{value}"
            for value in section.values("rtpmap")
            if (match := _RTPMAP.fullmatch(value)) and match[1] == codec
        ),
        *(line for line in video if line.startswith(shared)),
    ]


def _split(text: str) -> tuple[Section, list[Section]]:
    """The session-level lines (as a section without media) and the media sections."""
    if len(text) > LONGEST:
        raise MalformedOfferError(f"the offer is longer than {LONGEST} characters")
    lines = [line.rstrip("\r") for line in text.strip().split("\n")]
    if lines[0].strip() != "v=0":
        raise MalformedOfferError("the offer does not start with v=0")
    sections: list[Section] = []
    attributes: list[tuple[str, str]] = []
    session: tuple[tuple[str, str], ...] = ()
    media: re.Match[str] | None = None

    def finish() -> None:
        nonlocal session
        if media is None:
            session = tuple(attributes)
        else:
            sections.append(Section(media[1], int(media[2]), media[3], tuple(media[4].split()), tuple(attributes)))
        attributes.clear()

    for number, line in enumerate(lines, start=1):
        if len(line) < 2 or line[1] != "=" or not line.isprintable():
            raise MalformedOfferError(f"line {number} of the offer is not of the form x=...")
        if line.startswith("m="):
            finish()
            media = _MEDIA.fullmatch(line)
            if media is None:
                raise MalformedOfferError(f"line {number} of the offer is not a media description")
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            attributes.append((name, value))
    finish()
    if len(sections) > MOST_SECTIONS:
        raise MalformedOfferError(f"the offer has more than {MOST_SECTIONS} media sections")
    return Section("session", 0, "", (), session), sections


def _require_receiver(video: Section, session: Section) -> None:
    """A viewer may offer to send as well (sendrecv, which is also what no direction means); the answer declines that,
    and aiortc never hears of it, so that nothing that comes in is kept."""
    for place in (video, session):
        for name, _ in place.attributes:
            if name in ("sendonly", "inactive"):
                raise UnsupportedOfferError(f"the offer's video is {name}; it must be recvonly")
            if name in ("recvonly", "sendrecv"):
                return


def _transport(places: tuple[Section, ...], name: str, pattern: re.Pattern[str]) -> str:
    for place in places:
        value = place.first(name)
        if value is not None:
            if pattern.fullmatch(value) is None:
                break
            return value
    raise MalformedOfferError(f"the offer has no valid a={name}")


def _fingerprints(places: tuple[Section, ...]) -> list[str]:
    for place in places:
        if place.first("fingerprint") is None:
            continue
        known = [one for value in place.values("fingerprint") if (one := read_fingerprint(value)) is not None]
        if not known:
            break
        return [f"a=fingerprint:{one}" for one in known[:4]]
    raise MalformedOfferError("the offer has no valid a=fingerprint (sha-256, sha-384 or sha-512)")


def _codecs(video: Section) -> tuple[Codec, list[str]]:
    """The codec for this viewer, and the media line with its codec lines: H.264 Baseline in packetisation mode 1 where
    it is offered, else VP8; with their retransmission types."""
    offered = [int(number) for number in video.formats if number.isdecimal() and int(number) in _DYNAMIC]
    names = {
        int(match[1]): (match[2].upper(), match[3])
        for value in video.values("rtpmap")
        if (match := _RTPMAP.fullmatch(value))
    }
    parameters = {
        int(match[1]): _parameters(match[2]) for value in video.values("fmtp") if (match := _FMTP.fullmatch(value))
    }
    # Payload type: its format parameters, by codec.
    usable: dict[Codec, dict[int, str]] = {Codec.H264: {}, Codec.VP8: {}}
    retransmission: dict[int, int] = {}
    for number in dict.fromkeys(offered):
        options = parameters.get(number, {})
        match names.get(number):
            case ("H264", "90000"):
                # Without a profile RFC 6184 means Baseline.
                profile = options.get("profile-level-id", "42e01f").lower()
                if _BASELINE.fullmatch(profile) and options.get("packetization-mode") == "1":
                    usable[Codec.H264][number] = (
                        f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}"
                    )
            case ("VP8", "90000"):
                usable[Codec.VP8][number] = ""
            case ("RTX", "90000") if options.get("apt", "").isdecimal():
                retransmission.setdefault(int(options["apt"]), number)
    codec = next((codec for codec, types in usable.items() if types), None)
    if codec is None:
        raise UnsupportedOfferError(
            "the offer has neither H.264 Baseline with packetization-mode=1 nor VP8; no other codec is served"
        )
    numbers: list[int] = []
    lines: list[str] = []
    for number, format_parameters in usable[codec].items():
        numbers.append(number)
        lines.append(f"a=rtpmap:{number} {codec.upper()}/90000")
        if format_parameters:
            lines.append(f"a=fmtp:{number} {format_parameters}")
        feedback = {
            match[2]
            for value in video.values("rtcp-fb")
            if (match := _FEEDBACK.fullmatch(value))
            if match[1] in ("*", str(number))
        }
        lines.extend(f"a=rtcp-fb:{number} {kind}" for kind in sorted(feedback))
        if number in retransmission:
            numbers.append(retransmission[number])
            lines.append(f"a=rtpmap:{retransmission[number]} rtx/90000")
            lines.append(f"a=fmtp:{retransmission[number]} apt={number}")
    return codec, [f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers))}", *lines]


def _parameters(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
