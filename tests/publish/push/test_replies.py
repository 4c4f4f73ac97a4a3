from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.errors import PushError, PushFault
from faceanond.publish.push.replies import MAX_BODY, MAX_HEAD, MAX_HEADERS, Asked, Message, Replies, Reply
from faceanond.publish.rtsp.messages import Interleaved

CONVERSATION = (
    b"\r\nRTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, RECORD\r\n\r\n"
    b"$\x01\x00\x04\x80\xc9\x00\x00"
    b"RTSP/1.0 401 Unauthorized\r\ncseq : 2\r\nWWW-Authenticate: Digest a=1\r\nWWW-Authenticate:Basic b=2\r\n\r\n"
    b"RTSP/1.0 404 Not \xff Found\x07\r\nCSeq: 3\r\nContent-Length: 5\r\n\r\nwords"
    b"OPTIONS rtsp://h/yard RTSP/1.0\r\nCSeq: 77\r\n\r\n"
    b"RTSP/1.0 200\r\nContent-Length: \r\n\r\n"
    b"$\x00\x00\x00"
)
MESSAGES = [
    Reply(200, "OK", {"cseq": "1", "public": "OPTIONS, RECORD"}),
    Interleaved(1, b"\x80\xc9\x00\x00"),
    Reply(401, "Unauthorized", {"cseq": "2", "www-authenticate": "Digest a=1, Basic b=2"}),
    Reply(404, "Not  Found", {"cseq": "3", "content-length": "5"}),
    Asked("OPTIONS", "77"),
    Reply(200, "", {"content-length": ""}),
    Interleaved(0, b""),
]


def parse(*pieces: bytes) -> list[Message]:
    replies, messages = Replies(), []
    for piece in pieces:
        replies.feed(piece)
        while (message := replies.next()) is not None:
            messages.append(message)
    return messages


def test_answers_requests_and_data_come_out_in_order() -> None:
    assert parse(CONVERSATION) == MESSAGES


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=20))
def test_where_the_network_cuts_makes_no_difference(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(CONVERSATION)]
    assert parse(*(CONVERSATION[a:b] for a, b in itertools.pairwise(places))) == MESSAGES


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x16\x03\x01\x02\x00",  # TLS
        b"RTSP/1.0 2000 OK\r\n\r\n",
        b"RTSP/1.0 OK\r\n\r\n",
        b"X" * 33,
        b"RTSP/1.0 200 OK\r\nA: " + b"x" * MAX_HEAD,
        b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        b"RTSP/1.0 200 OK\r\nno colon\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nA: \x00\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1),
        b"RTSP/1.0 200 OK\r\nContent-Length: 9999999999\r\n\r\n",
    ],
)
def test_what_is_no_rtsp_or_too_long_is_refused(data: bytes) -> None:
    with pytest.raises(PushError) as caught:
        parse(data)
    assert caught.value.fault is PushFault.MALFORMED


def test_an_answer_that_trickles_in_is_refused_as_soon_as_it_is_too_long() -> None:
    replies = Replies()
    replies.feed(b"RTSP/1.0 200 OK\r\n")
    while replies.pending < MAX_HEAD - 6:
        replies.feed(b"A: b\r\n")
        assert replies.next() is None
    replies.feed(b"A: b\r\n" * 2)
    with pytest.raises(PushError, match="longer than"):
        replies.next()


PIECES = st.sampled_from(
    [b"RTSP/1.0 200 OK\r\n", b"CSeq: 1\r\n", b"Content-Length: 7\r\n", b"\r\n", b"$\x00\x00\x05", b"OPTIONS * RTSP/1.0"]
)


@given(st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=20))
def test_whatever_comes_it_is_parsed_or_refused(pieces: list[bytes]) -> None:
    replies = Replies()
    for piece in pieces:
        replies.feed(piece)
        try:
            while replies.next() is not None:
                pass
        except PushError:
            return
        assert replies.pending <= MAX_HEAD + MAX_BODY
