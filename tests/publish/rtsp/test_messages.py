from __future__ import annotations

from faceanond.publish.rtsp.messages import Interleaved, Request, Response, reason


def test_a_response_carries_cseq_headers_and_the_length_of_its_body() -> None:
    response = Response(200, {"Content-Type": "application/sdp"}, b"v=0\r\n")
    assert response.encode("7") == (
        b"RTSP/1.0 200 OK\r\nCSeq: 7\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )


def test_a_response_to_a_request_without_cseq_has_none() -> None:
    assert Response(400).encode("") == b"RTSP/1.0 400 Bad Request\r\n\r\n"


def test_rtsp_has_phrases_of_its_own() -> None:
    assert [reason(status) for status in (404, 454, 461)] == [
        "Not Found",
        "Session Not Found",
        "Unsupported Transport",
    ]


def test_interleaved_data_has_channel_and_length_in_front() -> None:
    assert Interleaved(3, b"abc").encode() == b"$\x03\x00\x03abc"


def test_header_names_have_no_case() -> None:
    assert Request("OPTIONS", "*", {"cseq": "1"}).header("CSeq") == "1"


def test_a_header_with_several_values_has_a_line_for_each() -> None:
    assert Response(401, {"A": ("1", "2")}).encode("") == b"RTSP/1.0 401 Unauthorized\r\nA: 1\r\nA: 2\r\n\r\n"
