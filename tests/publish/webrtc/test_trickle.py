from __future__ import annotations

import pytest

from faceanond.publish.webrtc.errors import MalformedOfferError, UnsupportedOfferError
from faceanond.publish.webrtc.lines import MOST_PER_ADDRESS
from faceanond.publish.webrtc.sdp import MOST_CANDIDATES, read_offer
from faceanond.publish.webrtc.trickle import LONGEST, Trickle
from tests.publish.webrtc.offers import offer

UFRAG = "a=ice-ufrag:b41O"
PASSWORD = "a=ice-pwd:obNs5HGxS7Csj3QiP2gddQzZ"
NEW = "a=candidate:7 1 udp 2113937151 203.0.113.5 50000 typ host generation 0 ufrag b41O network-id 1"


@pytest.fixture
def trickle() -> Trickle:
    """Of a viewer whose offer names 192.0.2.7:40000 and 198.51.100.4:40001."""
    return Trickle(read_offer(offer()).text)


def fragment(*lines: str) -> str:
    return "\r\n".join(lines) + "\r\n"


def test_a_candidate_is_written_anew(trickle: Trickle) -> None:
    text = fragment("a=group:BUNDLE 0", "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:0", UFRAG, PASSWORD, NEW)
    assert trickle.read(text) == ["3 1 udp 2113937151 203.0.113.5 50000 typ host"]


def test_one_that_is_known_is_not_taken_again(trickle: Trickle) -> None:
    known = "a=candidate:9 1 udp 2113937151 192.0.2.7 40000 typ host"
    assert len(trickle.read(fragment(known, NEW, NEW))) == 1
    assert trickle.read(fragment(NEW)) == []


@pytest.mark.parametrize(
    "line",
    [
        "a=candidate:1 1 udp 5 127.0.0.1 9000 typ host",
        "a=candidate:1 1 udp 5 ::1 9000 typ host",
        "a=candidate:1 1 udp 5 0.0.0.0 9000 typ host",
        "a=candidate:1 1 udp 5 224.0.0.1 9000 typ host",
        "a=candidate:1 1 udp 5 255.255.255.255 9000 typ host",
        "a=candidate:1 1 udp 5 ::ffff:127.0.0.1 9000 typ host",
        "a=candidate:1 1 udp 5 169.254.169.254 80 typ host",
        "a=candidate:1 1 udp 5 fe80::1 9000 typ host",
        "a=candidate:1 1 udp 5 203.0.113.5 0 typ host",
        "a=candidate:1 1 udp 5 203.0.113.5 65536 typ host",
        "a=candidate:1 2 udp 5 203.0.113.5 9000 typ host",
        "a=candidate:1 1 tcp 5 203.0.113.5 9 typ host tcptype active",
        "a=candidate:1 1 udp 5 0f6f6025-ce71-4253-8635-3be83ef3cfdc.local 9000 typ host",
        "a=candidate:1 1 udp 5 router.internal 9000 typ host",
        "a=end-of-candidates",
        "a=something-new:1",
    ],
)
def test_what_must_not_or_cannot_be_checked_is_passed_over(trickle: Trickle, line: str) -> None:
    assert trickle.read(fragment(line, NEW)) == ["3 1 udp 2113937151 203.0.113.5 50000 typ host"]


def test_offer_and_fragments_together_name_only_so_many(trickle: Trickle) -> None:
    taken = 0
    for host in range(1, 60):
        taken += len(trickle.read(fragment(f"a=candidate:1 1 udp 5 203.0.113.{host} 9000 typ host")))
    assert taken == MOST_CANDIDATES - 2
    many = [f"a=candidate:1 1 udp 5 203.0.113.{host} 9000 typ host" for host in range(100, 160)]
    assert len(Trickle(read_offer(offer()).text).read(fragment(*many))) == MOST_CANDIDATES - 2


def test_offer_and_fragments_together_name_one_address_only_so_often(trickle: Trickle) -> None:
    more = [f"a=candidate:1 1 udp 5 192.0.2.7 {port} typ host" for port in range(50000, 50010)]
    taken = sum(len(trickle.read(fragment(line))) for line in more)
    assert taken == MOST_PER_ADDRESS - 1, "the offer names it already"
    assert trickle.ignored == 10 - taken
    assert len(trickle.read(fragment(NEW))) == 1


@pytest.mark.parametrize("line", ["a=ice-ufrag:NewOne", "a=ice-pwd:0123456789012345678901234"])
def test_other_credentials_ask_for_a_restart(trickle: Trickle, line: str) -> None:
    with pytest.raises(UnsupportedOfferError, match="restarted"):
        trickle.read(fragment(NEW, line))
    assert len(trickle.read(fragment(NEW))) == 1, "nothing of a refused fragment counts"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\r\n",
        "nonsense",
        "a=",
        "A=mid:0",
        "a=mid:0\x00",
        "a=mid:0\r\n\r\na=mid:0",
        "a=mid:0\u2028a=mid:1",
        "a=x\r\n" * LONGEST,
        '{"candidate": ""}',
    ],
)
def test_what_is_no_fragment_is_malformed(trickle: Trickle, text: str) -> None:
    with pytest.raises(MalformedOfferError):
        trickle.read(text)
