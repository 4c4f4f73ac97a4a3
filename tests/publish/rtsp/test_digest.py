from __future__ import annotations

import base64
import hashlib
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish.rtsp.digest import NONCE_LIFE, REALM, Basic, Digest, Nonces, challenges, parse
from faceanond.publish.rtsp.messages import RtspError

URL = "rtsp://host:8554/yard"


def proof(algorithm: str = "MD5", *, qop: bool = True, password: str = "secret-1", uri: str = URL) -> str:
    """An Authorization header, worked out here from the RFC, not from the code under test."""
    digest = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]

    def h(text: str) -> str:
        return digest(text.encode()).hexdigest()

    a1, a2 = h(f"guard:{REALM}:{password}"), h(f"DESCRIBE:{uri}")
    response = h(f"{a1}:abc:00000001:xyz:auth:{a2}") if qop else h(f"{a1}:abc:{a2}")
    more = ', qop=auth, nc=00000001, cnonce="xyz"' if qop else ""
    return (
        f'Digest username="guard", realm="{REALM}", nonce="abc", uri="{uri}", algorithm={algorithm}, '
        f'response="{response}"{more}'
    )


def read(header: str) -> Digest:
    found = parse(header)
    assert isinstance(found, Digest)
    return found


def test_the_example_of_rfc_7616_comes_out_for_both_algorithms() -> None:
    for algorithm, response in (
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        given = read(
            'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", '
            f'algorithm={algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
            f'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{response}", '
            'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
        )
        assert given.expected("Circle of Life", "GET") == response


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", [True, False])
def test_the_right_password_proves_itself_and_another_does_not(algorithm: str, qop: bool) -> None:
    given = read(proof(algorithm, qop=qop))
    assert given.proves("secret-1", "DESCRIBE", URL)
    assert not given.proves("secret-2", "DESCRIBE", URL)
    assert not given.proves(None, "DESCRIBE", URL)
    assert not given.proves("secret-1", "SETUP", URL)


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        (URL, True),
        (f"{URL}/", True),
        (f"{URL}/trackID=0", True),
        ("/yard", True),
        ("rtsp://host:8554/hall", False),
        ("rtsp://host:8554/", False),
        ("*", False),
    ],
)
def test_a_proof_is_for_the_camera_of_the_request(uri: str, good: bool) -> None:
    assert read(proof(uri=uri)).proves("secret-1", "DESCRIBE", f"{URL}/trackID=0") is good


def test_a_proof_for_another_realm_is_none() -> None:
    given = read(proof().replace(REALM, "elsewhere"))
    right = Digest(given.username, "elsewhere", given.nonce, given.uri, given.expected("secret-1", "DESCRIBE"))
    assert not right.proves("secret-1", "DESCRIBE", URL)


def test_a_proof_with_a_malformed_url_is_a_malformed_request() -> None:
    with pytest.raises(RtspError) as caught:
        read(proof(uri="rtsp://[::1")).proves("secret-1", "DESCRIBE", URL)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "header",
    [
        'Digest username="a"',
        "Digest",
        "Digest ,",
        'Digest username="a", username="b"',
        'Digest username="a", realm="r", nonce="n", uri="", response="x"',
        proof().replace("algorithm=MD5", "algorithm=MD5-sess"),
        proof().replace("algorithm=MD5", "algorithm=SHA-512-256"),
        proof().replace("qop=auth", "qop=auth-int"),
        proof().replace("nc=00000001", "nc=1"),
        proof().replace('cnonce="xyz"', 'cnonce=""'),
        proof().replace('realm="', "realm="),
        proof() + ', "x"',
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff:x").decode(),
        "Basic \xe9",
    ],
)
def test_a_malformed_proof_is_400(header: str) -> None:
    with pytest.raises(RtspError) as caught:
        parse(header)
    assert caught.value.status == 400


@pytest.mark.parametrize("header", ["", "Bearer abc", "Negotiate abc"])
def test_other_schemes_are_none(header: str) -> None:
    assert parse(header) is None


def test_quotes_inside_quotes_are_read() -> None:
    assert read(proof().replace('username="guard"', r'username="gu\"ard\\"')).username == 'gu"ard\\'


def test_basic_is_name_and_password() -> None:
    header = "basic " + base64.b64encode("guard:pass:wörd".encode()).decode()
    assert parse(header) == Basic("guard", "pass:wörd")
    assert "pass" not in repr(parse(header))


def test_a_player_that_takes_the_last_challenge_gets_md5_and_live555_finds_realm_and_nonce_first() -> None:
    basic, first, last = challenges("abc", basic=True)
    assert basic == f'Basic realm="{REALM}"'
    assert first.startswith(f'Digest realm="{REALM}", nonce="abc", algorithm=SHA-256')
    assert last.startswith(f'Digest realm="{REALM}", nonce="abc", algorithm=MD5')
    stale = challenges("abc", stale=True)
    assert len(stale) == 2
    assert stale[1].startswith(f'Digest realm="{REALM}", nonce="abc", stale=true, ')


def test_a_nonce_is_known_for_a_minute_and_then_replaced() -> None:
    nonces, other = Nonces(), Nonces()
    assert not nonces.knows("", 0.0)
    first = nonces.current(1000.0)
    assert nonces.current(1000.0 + NONCE_LIFE - 1) == first
    assert nonces.knows(first, 1000.0 + NONCE_LIFE - 1)
    assert not nonces.knows(first, 1000.0 + NONCE_LIFE)
    second = nonces.current(1000.0 + NONCE_LIFE)
    assert second != first
    assert not nonces.knows(first, 1000.0 + NONCE_LIFE)
    assert other.current(0.0) not in (first, second)


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80)


@given(st.one_of(TEXT, TEXT.map("Digest ".__add__), TEXT.map("Basic ".__add__), st.text(max_size=40)))
def test_any_header_gives_credentials_nothing_or_400(header: str) -> None:
    try:
        found = parse(header)
    except RtspError:
        return
    assert found is None or isinstance(found, get_args(Digest | Basic))


@given(
    username=TEXT.filter(bool),
    uri=TEXT.filter(bool),
    nonce=TEXT.filter(bool),
    response=TEXT.filter(bool),
    cut=st.integers(0, 400),
)
def test_whatever_is_quoted_comes_out_as_it_went_in(
    username: str, uri: str, nonce: str, response: str, cut: int
) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = (
        f"Digest username={quoted(username)}, realm={quoted(REALM)}, nonce={quoted(nonce)}, uri={quoted(uri)}, "
        f"response={quoted(response)}"
    )
    assert parse(header) == Digest(username, REALM, nonce, uri, response.lower())
    try:
        shorter = parse(header[:cut])
    except RtspError:
        return
    if isinstance(shorter, Digest):
        assert not shorter.proves("secret-1", "DESCRIBE", URL)
