from __future__ import annotations

import pytest

from faceanond.publish.webrtc.lines import (
    MOST_PER_ADDRESS,
    Candidates,
    read_candidate,
    read_fingerprint,
    with_level,
)
from faceanond.publish.webrtc.sdp import MOST_CANDIDATES


def test_the_level_of_the_stream_is_offered_where_it_is_higher() -> None:
    offer = "a=fmtp:101 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
    assert "profile-level-id=42e028" in with_level(offer, 40)
    assert with_level(offer, 30) == offer


def test_only_who_is_on_this_machine_may_name_its_loopback() -> None:
    value = "1 1 udp 5 127.0.0.1 9000 typ host"
    assert read_candidate(value) is None
    assert read_candidate(value, loopback=True) == (("127.0.0.1", 9000), "1 udp 5 127.0.0.1 9000 typ host")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.251",
        "239.255.255.250",
        "255.255.255.255",
        "240.0.0.1",
        "169.254.169.254",
        "::",
        "ff02::fb",
        "fe80::1",
        "::ffff:192.0.2.7",
        "::ffff:127.0.0.1",
        "::ffff:224.0.0.1",
        "::127.0.0.1",
    ],
)
@pytest.mark.parametrize("loopback", [False, True], ids=["from elsewhere", "from this machine"])
def test_no_group_no_broadcast_and_no_address_in_disguise_may_be_named(address: str, loopback: bool) -> None:
    assert read_candidate(f"1 1 udp 5 {address} 9000 typ host", loopback=loopback) is None


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.7", "192.168.1.7", "100.64.0.7", "2001:db8::7", "fd00::7"])
def test_the_address_of_any_one_host_may(address: str) -> None:
    place = ((address, 9000), f"1 udp 5 {address} 9000 typ host")
    assert read_candidate(f"1 1 udp 5 {address} 9000 typ host") == place


def host(address: str, port: int) -> str:
    return f"1 1 udp 5 {address} {port} typ host"


def test_an_address_and_port_is_named_once_and_not_too_many_are() -> None:
    candidates = Candidates(most=2)
    assert candidates.fresh(host("203.0.113.5", port) for port in (9000, 9000, 9001, 9002)) == [
        "1 1 udp 5 203.0.113.5 9000 typ host",
        "2 1 udp 5 203.0.113.5 9001 typ host",
    ]
    assert candidates.fresh([host("203.0.113.5", 9000), host("203.0.113.6", 9000)]) == []
    assert candidates.ignored == 2, "those that are known already are none too many"


def test_one_address_is_named_a_few_times_only_however_it_is_written() -> None:
    candidates = Candidates(most=100)
    spelt = ["2001:db8::7", "2001:DB8::7", "2001:db8:0:0:0:0:0:7", "2001:db8::0.0.0.7"]
    found = candidates.fresh(host(spelt[port % 4], port) for port in range(1000, 1050))
    assert len(found) == MOST_PER_ADDRESS
    assert candidates.ignored == 50 - MOST_PER_ADDRESS
    assert len(candidates.fresh([host("2001:db8::8", 1000)])) == 1, "another address is not kept out"


def test_a_viewer_with_many_interfaces_behind_one_nat_names_them_all() -> None:
    """A notebook: a wire, wireless, a VPN and two bridges of its own, each with its address inside and, but for the
    bridges, its port outside; both families."""
    inside = [host(f"192.168.{number}.7", 50000 + number) for number in range(5)]
    six = [host(f"2001:db8:{number}::7", 50010 + number) for number in range(3)]
    outside = [f"1 1 udp 3 198.51.100.4 {61000 + number} typ srflx raddr 0.0.0.0 rport 0" for number in range(3)]
    assert len(Candidates(most=MOST_CANDIDATES).fresh([*inside, *six, *outside])) == 11


def test_names_and_tcp_are_passed_over_and_count_for_nothing() -> None:
    candidates = Candidates(most=1)
    hidden = "1 1 udp 5 0f6f6025-ce71-4253-8635-3be83ef3cfdc.local 9000 typ host"
    tcp = "1 1 tcp 5 203.0.113.5 9 typ host tcptype active"
    assert candidates.fresh([hidden, tcp] * 20) == []
    assert candidates.ignored == 0
    assert len(candidates.fresh([host("203.0.113.5", 9000)])) == 1


def test_a_fingerprint_has_the_length_of_its_hash() -> None:
    digest = ":".join(["ab"] * 32)
    assert read_fingerprint(f"SHA-256 {digest}") == f"sha-256 {digest.upper()}"
    assert read_fingerprint(f"sha-384 {digest}") is None
