from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish.push.login import LONGEST, Challenge, Login, challenges

RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=ALGORITHM, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
"""The example of section 3.9.1."""


def login(username: str = "Mufasa", password: str = "Circle of Life", *, allow_basic: bool = True) -> Login:
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    return Login(username, password, allow_basic=allow_basic, cnonce=lambda: cnonce)


def answered(header: str, *, who: Login | None = None) -> str:
    one = who or login()
    assert one.take(header)
    text = one.authorization("GET", "/dir/index.html")
    assert text is not None
    return text


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    text = answered(RFC_7616.replace("ALGORITHM", algorithm))
    assert f'response="{response}"' in text
    assert "qop=auth, nc=00000001" in text
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in text
    assert f"algorithm={algorithm}" in text


def test_a_server_of_the_old_kind_without_qop() -> None:
    text = answered(
        'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"',
        who=login(password="CircleOfLife"),
    )
    # The example of RFC 2069 with the value that its erratum gives.
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in text
    assert "qop" not in text
    assert "nc=" not in text


def test_basic() -> None:
    assert answered('Basic realm="x"', who=login("Aladdin", "open sesame")) == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def test_each_request_counts_the_nonce_up_and_a_new_nonce_starts_again() -> None:
    one = login()
    one.take(RFC_7616.replace("ALGORITHM", "MD5"))
    counts = [re.findall(r"nc=(\w+)", one.authorization("GET", "/") or "")[0] for _ in range(3)]
    assert counts == ["00000001", "00000002", "00000003"]
    one.take(RFC_7616.replace("ALGORITHM", "MD5"))
    assert "nc=00000001" in (one.authorization("GET", "/") or "")


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (
            'Basic realm="x", Digest realm="x", nonce="1", algorithm=MD5, Digest nonce="2", algorithm=SHA-256',
            "2",
        ),
        ('Digest realm="x", nonce="2", algorithm=SHA-256, Digest realm="x", nonce="1"', "2"),
        ('Digest realm="x", nonce="1", algorithm=sha-512-256, Digest realm="x", nonce="2", algorithm="MD5"', "2"),
        ('Digest realm="x", nonce="1", qop="auth-int", algorithm=SHA-256, Digest nonce="2", realm="x"', "2"),
        ('Negotiate dG9rZW4=, Digest realm="a, Basic b", nonce="2"', "2"),
        ('Negotiate, NTLM, Digest realm="quoted \\"word\\"", nonce="2"', "2"),
    ],
)
def test_the_strongest_way_that_is_offered_and_known_is_taken(header: str, chosen: str) -> None:
    assert f'nonce="{chosen}"' in answered(header)


def test_digest_is_taken_rather_than_basic_in_either_order() -> None:
    for header in ('Basic realm="x", Digest realm="x", nonce="1"', 'Digest realm="x", nonce="1", Basic realm="x"'):
        assert answered(header).startswith("Digest ")


def test_basic_is_used_only_where_it_is_allowed() -> None:
    one = login(allow_basic=False)
    assert not one.take('Basic realm="x"')
    assert one.basic_only
    assert one.authorization("GET", "/") is None
    assert one.take('Basic realm="x", Digest realm="x", nonce="1"')
    assert not one.basic_only
    assert (one.authorization("GET", "/") or "").startswith("Digest ")


def test_a_server_cannot_ask_for_the_password_after_it_has_asked_for_digest() -> None:
    one = login(allow_basic=False)
    assert one.take('Digest realm="x", nonce="1"')
    assert not one.take('Basic realm="x"')
    assert one.authorization("GET", "/") is None


@pytest.mark.parametrize("header", ["", "Bearer", 'Digest realm="x"', 'Digest nonce="1", algorithm=MD4', ",,,=", '"'])
def test_a_way_that_is_not_known_is_no_login(header: str) -> None:
    one = login()
    assert not one.take(header)
    assert not one.basic_only
    assert one.authorization("GET", "/") is None


def test_quotes_in_names_are_escaped_and_the_password_is_never_sent() -> None:
    text = answered('Digest realm="x", nonce="1"', who=login('a"b\\c', "geheim"))
    assert r'username="a\"b\\c"' in text
    assert "geheim" not in text


def test_a_stale_nonce_is_told_from_a_wrong_password() -> None:
    one = login()
    one.take('Digest realm="x", nonce="1", stale=TRUE')
    assert one.stale
    one.take('Digest realm="x", nonce="1", stale=false')
    assert not one.stale


def test_a_header_is_taken_apart() -> None:
    assert challenges('Digest realm="a", nonce=b , Basic realm="c"') == [
        Challenge("digest", {"realm": "a", "nonce": "b"}),
        Challenge("basic", {"realm": "c"}),
    ]


@given(st.text(alphabet='Digest Basic="\\,/n\udcff', max_size=200))
def test_whatever_a_server_offers_gives_a_login_or_none(header: str) -> None:
    one = login()
    if one.take(header):
        text = one.authorization("RECORD", "rtsp://h/x")
        assert text is not None
        assert "\n" not in text


@pytest.mark.parametrize("piece", ['a="', "a=", '"', "a ", ",", '\\"', 'a="\\'])
def test_a_long_header_takes_no_time(piece: str) -> None:
    begin = time.process_time()
    challenges(piece * LONGEST)
    assert time.process_time() - begin < 0.5
