from __future__ import annotations

import pytest
from aiortc import sdp as library
from hypothesis import given
from hypothesis import strategies as st

from faceanond.errors import PushError, PushFault
from faceanond.publish.webrtc.whip_sdp import LONGEST, MOST_CANDIDATES, read_answer

FINGERPRINT = ":".join(["AB"] * 32)
ANSWER = f"""v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=ice-lite
a=msid-semantic: WMS x
m=video 9 UDP/TLS/RTP/SAVPF 101 102
c=IN IP4 0.0.0.0
a=mid:0
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=setup:active
a=ice-ufrag:abcd
a=ice-pwd:{"p" * 24}
a=fingerprint:sha-256 {FINGERPRINT}
a=rtpmap:101 H264/90000
a=fmtp:101 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:101 nack
a=rtcp-fb:101 nack pli
a=rtcp-fb:101 transport-cc
a=rtpmap:102 rtx/90000
a=fmtp:102 apt=101
a=candidate:1 1 udp 2130706431 198.51.100.7 8189 typ host generation 0
a=candidate:2 1 udp 1694498815 203.0.113.9 8189 typ srflx raddr 10.0.0.1 rport 8189
a=candidate:3 1 tcp 1 198.51.100.7 8189 typ host tcptype passive
a=candidate:4 1 udp 1 127.0.0.1 8189 typ host
a=candidate:5 1 udp 1 1234.local 8189 typ host
a=candidate:6 1 udp 1 224.0.0.1 8189 typ host
a=candidate:7 1 udp 1 198.51.100.7 99999 typ host
a=end-of-candidates
""".replace("\n", "\r\n")


def test_what_is_needed_is_taken_and_nothing_else() -> None:
    text = read_answer(ANSWER, loopback=False)
    parsed = library.SessionDescription.parse(text)
    (media,) = parsed.media
    assert [candidate.ip for candidate in media.ice_candidates] == ["198.51.100.7", "203.0.113.9"]
    assert media.ice.iceLite
    assert media.direction == "recvonly"
    assert media.fmt == [101, 102]
    assert "extmap" not in text
    assert "transport-cc" not in text
    assert "end-of-candidates" not in text
    assert "10.0.0.1" not in text


def test_a_server_on_this_machine_may_name_loopback() -> None:
    assert "127.0.0.1 8189" in read_answer(ANSWER, loopback=True)


def test_transport_may_stand_in_the_session() -> None:
    lines = [line for line in ANSWER.split("\r\n") if not line.startswith(("a=ice-", "a=fingerprint"))]
    moved = [line for line in ANSWER.split("\r\n") if line.startswith(("a=ice-", "a=fingerprint"))]
    text = read_answer("\r\n".join([*lines[:4], *moved, *lines[4:]]), loopback=False)
    assert "a=ice-ufrag:abcd" in text


def test_format_parameters_that_are_not_known_are_left_out() -> None:
    strange = ANSWER.replace("packetization-mode=1;", "max-fs=x;packetization-mode=1;x;")
    text = read_answer(strange.replace("apt=101", "apt=1x"), loopback=False)
    assert "a=fmtp:101 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n" in text
    assert "a=fmtp:102" not in text


def test_candidates_are_counted() -> None:
    many = "".join(f"a=candidate:1 1 udp 1 198.51.100.{host} 4000 typ host\r\n" for host in range(1, 200))
    assert read_answer(ANSWER + many, loopback=False).count("a=candidate") == MOST_CANDIDATES


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("m=video 9", "m=video 0"),
        ("a=recvonly", "a=inactive"),
        ("a=rtpmap:101 H264/90000", "a=rtpmap:101 VP8/90000"),
    ],
)
def test_a_video_that_is_not_taken_is_told_so(old: str, new: str) -> None:
    text = ANSWER.replace(old, new).replace("a=rtpmap:102 rtx/90000\r\n", "")
    with pytest.raises(PushError, match=r"H\.264") as caught:
        read_answer(text, loopback=False)
    assert caught.value.fault is PushFault.REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        ANSWER.replace("v=0", "v=1"),
        ANSWER + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
        ANSWER.replace("m=video", "m=audio"),
        ANSWER.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        ANSWER.replace("a=mid:0\r\n", ""),
        ANSWER.replace("a=mid:0", "a=mid:" + "x" * 100),
        ANSWER.replace("a=ice-ufrag:abcd\r\n", ""),
        ANSWER.replace("a=ice-pwd:p", "a=ice-pwd:\x00"),
        ANSWER.replace("sha-256 AB", "md5 AB"),
        ANSWER.replace("a=setup:active", "a=setup:actpass"),
        ANSWER + "a=x\r\n" * LONGEST,
    ],
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(PushError) as caught:
        read_answer(text, loopback=False)
    assert caught.value.fault is PushFault.MALFORMED


def test_a_payload_type_that_cannot_be_one_is_left_out() -> None:
    text = ANSWER.replace("UDP/TLS/RTP/SAVPF ", "UDP/TLS/RTP/SAVPF 502 ", 1)
    assert text != ANSWER
    assert " 502" not in read_answer(text, loopback=True)


@given(st.data())
def test_a_damaged_answer_is_refused_or_readable(data: st.DataObject) -> None:
    text = ANSWER
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(text)))
        change = data.draw(st.one_of(st.text(max_size=5), st.sampled_from(["\r\n", "m=video 9 ", "a=mid:1\r\n"])))
        text = text[:place] + change + text[place + data.draw(st.integers(0, 10)) :]
    try:
        fresh = read_answer(text, loopback=True)
    except PushError:
        return
    assert library.SessionDescription.parse(fresh).media
