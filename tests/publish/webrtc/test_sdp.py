from __future__ import annotations

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish.packet import Codec
from faceanond.publish.webrtc.errors import MalformedOfferError, OfferError, UnsupportedOfferError
from faceanond.publish.webrtc.sdp import LONGEST, read_offer, write_answer
from tests.publish.webrtc.offers import AUDIO, DATA, FINGERPRINT, VIDEO, offer

ANSWER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=video 40000 UDP/TLS/RTP/SAVPF 108\r\nc=IN IP4 192.0.2.1\r\na=sendonly\r\na=mid:0\r\na=rtcp-mux\r\n"
    "a=candidate:1 1 udp 5 192.0.2.1 40000 typ host\r\na=ice-ufrag:abcd\r\na=setup:active\r\n"
)


def test_the_rebuilt_offer_is_read_by_aiortc_as_one_receive_only_h264_section() -> None:
    (media,) = SessionDescription.parse(read_offer(offer()).text).media
    assert (media.kind, media.direction, media.rtp.muxId, media.rtcp_mux) == ("video", "recvonly", "0", True)
    assert [(codec.name, codec.payloadType) for codec in media.rtp.codecs] == [
        ("H264", 102),
        ("rtx", 103),
        ("H264", 108),
        ("rtx", 109),
    ]
    assert media.ice.usernameFragment == "b41O"
    assert [print_.value for print_ in media.dtls.fingerprints] == [FINGERPRINT.split()[1]]


def test_feedback_is_limited_to_retransmission_and_keyframe_requests() -> None:
    text = read_offer(offer()).text
    assert "goog-remb" not in text
    assert "a=rtcp-fb:108 nack\r\n" in text
    assert "a=rtcp-fb:102 nack pli\r\n" in text


def test_mdns_and_tcp_candidates_and_their_end_are_left_out() -> None:
    text = read_offer(offer()).text
    assert [line.split()[4] for line in text.splitlines() if line.startswith("a=candidate")] == [
        "192.0.2.7",
        "198.51.100.4",
    ]
    assert ".local" not in text
    assert "end-of-candidates" not in text


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "0.0.0.0", "224.0.0.251", "ff02::1", "169.254.169.254", "host.example"]
)
def test_an_offer_cannot_make_us_send_to_loopback_groups_or_names(address: str) -> None:
    text = read_offer(offer(VIDEO.replace("192.0.2.7 40000", f"{address} 40000"))).text
    assert address not in [line.split()[4] for line in text.splitlines() if line.startswith("a=candidate")]


def test_only_so_many_candidates_are_taken() -> None:
    many = "".join(f"a=candidate:1 1 udp 5 192.0.2.{number} 40000 typ host\n" for number in range(1, 100))
    assert read_offer(offer(VIDEO + many)).text.count("a=candidate") == 16


def test_a_payload_type_that_aiortc_would_renumber_is_not_offered_to_it() -> None:
    video = VIDEO.replace("102 103 108", "39 103 108").replace(":102", ":39")
    assert "a=rtpmap:39 " not in read_offer(offer(video)).text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("a=recvonly", "a=sendonly", "recvonly"),
        ("a=recvonly", "a=inactive", "recvonly"),
        ("a=rtcp-mux\n", "", "rtcp-mux"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP", "RTP/AVP"),
        ("m=video 9", "m=video 0", "port 0"),
        ("m=video", "m=audio", "no video"),
    ],
)
def test_an_offer_for_something_else_is_refused_and_told_why(old: str, new: str, words: str) -> None:
    with pytest.raises(UnsupportedOfferError, match=words):
        read_offer(offer(VIDEO.replace(old, new)))


LACKS = [
    ("H264", "VP9"),
    ("packetization-mode=1", "packetization-mode=0"),
    ("profile-level-id=42", "profile-level-id=64"),
]


def test_h264_is_taken_where_it_is_offered_whatever_stands_first() -> None:
    assert read_offer(offer()).codec is Codec.H264
    assert "VP8" not in read_offer(offer()).text


@pytest.mark.parametrize(("old", "new"), LACKS)
def test_vp8_is_taken_where_there_is_no_h264_that_could_be_sent(old: str, new: str) -> None:
    video = VIDEO.replace(old, new).replace(
        "a=rtpmap:96 VP8/90000", "a=rtpmap:96 VP8/90000\na=rtcp-fb:96 goog-remb\na=rtcp-fb:96 nack pli"
    )
    read = read_offer(offer(video))
    assert read.codec is Codec.VP8
    (media,) = SessionDescription.parse(read.text).media
    assert [(codec.name, codec.payloadType) for codec in media.rtp.codecs] == [("VP8", 96)]
    assert {str(kind) for kind in media.rtp.codecs[0].rtcpFeedback} == {
        "RTCRtcpFeedback(type='nack', parameter=None)",
        "RTCRtcpFeedback(type='nack', parameter='pli')",
    }


def test_vp8_brings_its_own_retransmission() -> None:
    video = VIDEO.replace("a=fmtp:103 apt=102", "a=fmtp:103 apt=96").replace("H264", "H265")
    (media,) = SessionDescription.parse(read_offer(offer(video)).text).media
    assert [(codec.name, codec.payloadType) for codec in media.rtp.codecs] == [("VP8", 96), ("rtx", 103)]


@pytest.mark.parametrize(("old", "new"), LACKS)
def test_an_offer_without_any_codec_of_ours_is_refused_and_told_why(old: str, new: str) -> None:
    with pytest.raises(UnsupportedOfferError, match=r"neither H\.264 Baseline .* nor VP8"):
        read_offer(offer(VIDEO.replace(old, new).replace("VP8", "AV1")))


@pytest.mark.parametrize("direction", ["a=sendrecv\n", ""])
def test_a_viewer_that_would_also_send_is_only_sent_to(direction: str) -> None:
    text = read_offer(offer(VIDEO.replace("a=recvonly\n", direction))).text
    assert "a=recvonly" in text
    assert "a=sendrecv" not in text


def test_two_video_sections_are_refused() -> None:
    with pytest.raises(UnsupportedOfferError, match="2 video sections"):
        read_offer(offer(VIDEO, VIDEO.replace("a=mid:0", "a=mid:1"), group="0 1"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=ice-ufrag:b41O", "a=ice-ufrag:"),
        ("a=ice-pwd:", "a=ice-pwd:short !"),
        ("a=fingerprint:", "a=thumbprint:"),
        ("sha-256", "sha-512"),
        ("sha-256", "md5"),
        ("a=setup:actpass", "a=setup:holdconn"),
        ("a=mid:0", "a=mid:"),
        ("m=video 9", "m=video nine"),
        ("a=rtcp-mux", "rtcp-mux"),
        ("a=rtcp-mux", "a=rtcp-mux\x00"),
        ("a=rtcp-mux", "a=rtcp-mux\u2028"),
    ],
)
def test_a_broken_offer_is_malformed(old: str, new: str) -> None:
    with pytest.raises(MalformedOfferError):
        read_offer(offer(VIDEO.replace(old, new)))


@pytest.mark.parametrize("text", ["", "v=1", "hello", "\r\n", "v=0\r\n" + "a=x\r\n" * LONGEST])
def test_what_is_no_session_description_is_malformed_or_has_no_video(text: str) -> None:
    with pytest.raises(MalformedOfferError):
        read_offer(text)


def test_a_bundled_video_section_may_leave_its_transport_to_its_partner() -> None:
    moved = [line for line in VIDEO.splitlines() if line.startswith(("a=ice-", "a=fingerprint", "a=setup"))]
    video = "".join(f"{line}\n" for line in VIDEO.splitlines() if line not in moved)
    audio = AUDIO + "".join(f"{line}\n" for line in moved)
    assert "a=ice-ufrag:b41O" in read_offer(offer(audio, video, group="a 0")).text
    with pytest.raises(MalformedOfferError):
        read_offer(offer(audio, video, group="0"))


def test_session_level_transport_attributes_count() -> None:
    text = offer(VIDEO.replace(f"a=fingerprint:{FINGERPRINT}\n", ""))
    assert FINGERPRINT in read_offer(text.replace("t=0 0", f"t=0 0\r\na=fingerprint:{FINGERPRINT}")).text


def test_an_answer_to_video_alone_stays_as_aiortc_wrote_it() -> None:
    answer = SessionDescription.parse(write_answer(read_offer(offer()), ANSWER))
    assert [group.items for group in answer.group] == [["0"]]
    assert [media.kind for media in answer.media] == ["video"]


FORMAT = (
    "a=rtpmap:108 H264/90000\r\na=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
)


@pytest.mark.parametrize(("level", "declared"), [(0, "42e01f"), (30, "42e01f"), (31, "42e01f"), (51, "42e033")])
def test_an_answer_declares_a_level_above_that_of_aiortc(level: int, declared: str) -> None:
    answer = write_answer(read_offer(offer()), ANSWER + FORMAT, level=level)
    (line,) = [line for line in answer.splitlines() if "profile-level-id" in line]
    assert line.rpartition("=")[2] == declared


def test_an_answer_grants_full_intra_requests_where_they_were_offered() -> None:
    answer = ANSWER + "a=rtcp-fb:108 nack\r\na=rtcp-fb:108 nack pli\r\n"
    assert "ccm fir" not in write_answer(read_offer(offer()), answer)
    asked = offer(VIDEO.replace("a=rtcp-fb:108 nack pli", "a=rtcp-fb:108 nack pli\na=rtcp-fb:108 ccm fir"))
    assert write_answer(read_offer(asked), answer).count("a=rtcp-fb:108 ccm fir\r\n") == 1


def test_an_answer_names_no_group_that_was_not_offered() -> None:
    assert "BUNDLE" not in write_answer(read_offer(offer(group="")), ANSWER)


def test_bundled_audio_is_inactive_on_the_same_transport_and_data_is_rejected() -> None:
    answer = write_answer(read_offer(offer(AUDIO, VIDEO, DATA, group="a 0 d")), ANSWER)
    audio, video, data = SessionDescription.parse(answer).media
    assert (audio.kind, audio.direction, audio.port, audio.rtp.muxId) == ("audio", "inactive", 9, "a")
    assert audio.ice_candidates == video.ice_candidates
    assert (video.kind, video.direction, video.rtp.muxId) == ("video", "sendonly", "0")
    assert (data.kind, data.port, data.rtp.muxId) == ("application", 0, "d")
    assert "a=group:BUNDLE a 0\r\n" in answer


def test_audio_with_a_transport_of_its_own_is_rejected() -> None:
    audio, video = SessionDescription.parse(write_answer(read_offer(offer(AUDIO, VIDEO)), ANSWER)).media
    assert audio.port == 0
    assert video.port == 40000


@given(data=st.data())
def test_a_mutated_offer_is_answered_or_refused_but_never_anything_else(data: st.DataObject) -> None:
    lines = offer(AUDIO, VIDEO, DATA, group="a 0 d").split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.integers(0, 4)):
            case 0:
                del lines[place]
            case 1:
                lines[place] = data.draw(st.text(max_size=40))
            case 2:
                cut = data.draw(st.integers(0, len(lines[place])))
                lines[place] = lines[place][:cut] + data.draw(st.text(max_size=5)) + lines[place][cut:]
            case 3:
                lines.insert(place, lines[data.draw(st.integers(0, len(lines) - 1))])
            case _:
                lines[place] = lines[place].replace(data.draw(st.sampled_from("0123456789:=/ ")), "", 1)
        lines = lines or ["v=0"]
    try:
        read = read_offer("\r\n".join(lines))
    except OfferError:
        return
    SessionDescription.parse(read.text)
    SessionDescription.parse(write_answer(read, ANSWER))
