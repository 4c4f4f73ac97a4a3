from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish.rtsp.messages import Interleaved, Request, RtspError
from faceanond.publish.rtsp.parser import MAX_BODY, MAX_HEAD, Parser

CONVERSATION = (
    b"\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    b"$\x01\x00\x04\x80\xc9\x00\x00"
    b"SETUP rtsp://host:8554/yard/trackID=0 RTSP/1.0\r\ncseq : 2\r\nTransport: a\r\nTransport:b\r\n\r\n"
    b"GET_PARAMETER rtsp://h/yard RTSP/1.0\r\nCSeq: 3\r\nContent-Length: 5\r\n\r\nx: \r\n"
    b"$\x00\x00\x00"
)
MESSAGES = [
    Request("OPTIONS", "*", {"cseq": "1"}),
    Interleaved(1, b"\x80\xc9\x00\x00"),
    Request("SETUP", "rtsp://host:8554/yard/trackID=0", {"cseq": "2", "transport": "a, b"}),
    Request("GET_PARAMETER", "rtsp://h/yard", {"cseq": "3", "content-length": "5"}, b"x: \r\n"),
    Interleaved(0, b""),
]


def parse(*pieces: bytes) -> list[Request | Interleaved]:
    parser, messages = Parser(), []
    for piece in pieces:
        parser.feed(piece)
        while (message := parser.next()) is not None:
            messages.append(message)
    return messages


def test_requests_and_data_come_out_in_order() -> None:
    assert parse(CONVERSATION) == MESSAGES


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=20))
def test_where_the_network_cuts_makes_no_difference(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(CONVERSATION)]
    assert parse(*(CONVERSATION[a:b] for a, b in itertools.pairwise(places))) == MESSAGES


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n", 400),
        (b"OPTIONS *\r\n", 400),
        (b"OPTIONS * RTSP/1.0\n", 400),
        (b"OPTIONS *  RTSP/1.0\r\n", 400),
        (b"OPTIONS * RTSP/2.0\r\n", 505),
        (b"OPTIONS /\xff RTSP/1.0\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),  # TLS
        (b"X" * 33, 400),
        (b"OPTIONS " + b"x" * MAX_HEAD, 400),
        (b"OPTIONS * RTSP/1.0\r\nA: " + b"x" * MAX_HEAD, 400),
        (b"OPTIONS * RTSP/1.0\r\nno colon\r\n\r\n", 400),
        (b"OPTIONS * RTSP/1.0\r\n folded: 1\r\n\r\n", 400),
        (b"OPTIONS * RTSP/1.0\r\nA: \x00\r\n\r\n", 400),
        (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nCSeq: 2\r\n\r\n", 400),
        (b"OPTIONS * RTSP/1.0\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400),
        (b"OPTIONS * RTSP/1.0\r\n" + b"A: 1\r\n" * 65 + b"\r\n", 400),
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n", 400),
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: \xb2\r\n\r\n", 400),
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
    ],
)
def test_what_is_not_rtsp_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(RtspError) as caught:
        parse(data)
    assert caught.value.status == status


@given(st.lists(st.binary(max_size=200) | st.sampled_from([CONVERSATION[:40], b"\r\n\r\n", b"$"]), max_size=30))
def test_any_bytes_give_messages_or_an_rtsp_error_and_bounded_memory(pieces: list[bytes]) -> None:
    parser = Parser()
    for piece in pieces:
        parser.feed(piece)
        try:
            while parser.next() is not None:
                pass
        except RtspError:
            return
        assert parser.pending < 4 + 0xFFFF + 200
