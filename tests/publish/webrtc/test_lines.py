from __future__ import annotations

from faceanond.publish.webrtc.lines import candidates, read_candidate, read_fingerprint, with_level


def test_the_level_of_the_stream_is_offered_where_it_is_higher() -> None:
    offer = "a=fmtp:101 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
    assert "profile-level-id=42e028" in with_level(offer, 40)
    assert with_level(offer, 30) == offer


def test_only_who_is_on_this_machine_may_name_its_loopback() -> None:
    value = "1 1 udp 5 127.0.0.1 9000 typ host"
    assert read_candidate(value) is None
    assert read_candidate(value, loopback=True) == (("127.0.0.1", 9000), "1 udp 5 127.0.0.1 9000 typ host")


def test_an_address_and_port_is_named_once_and_not_too_many_are() -> None:
    values = [f"1 1 udp 5 203.0.113.5 {port} typ host" for port in (9000, 9000, 9001, 9002)]
    assert candidates(values, most=2) == [
        "a=candidate:1 1 udp 5 203.0.113.5 9000 typ host",
        "a=candidate:2 1 udp 5 203.0.113.5 9001 typ host",
    ]


def test_a_fingerprint_has_the_length_of_its_hash() -> None:
    digest = ":".join(["ab"] * 32)
    assert read_fingerprint(f"SHA-256 {digest}") == f"sha-256 {digest.upper()}"
    assert read_fingerprint(f"sha-384 {digest}") is None
