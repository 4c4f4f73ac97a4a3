from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish.rtsp.messages import RtspError
from faceanond.publish.rtsp.transport import OverTcp, OverUdp, choose


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=0-1", OverTcp((0, 1))),
        ("RTP/AVP/TCP;interleaved=4-5;mode=play", OverTcp((4, 5))),
        ("RTP/AVP/TCP;unicast", OverTcp((0, 1))),
        ("RTP/AVP;unicast;client_port=5000-5001", OverUdp((5000, 5001))),
        ('RTP/AVP/UDP; unicast; client_port=5000 ;mode="PLAY"', OverUdp((5000, 5001))),
        ("RTP/AVP;multicast,RTP/AVP;unicast;client_port=6-7", OverUdp((6, 7))),
        ("RTP/SAVP;unicast;client_port=5000-5001,RTP/AVP/TCP;interleaved=2-3", OverTcp((2, 3))),
        ("RTP/AVP;unicast;client_port=6-7;destination=10.0.0.1", OverUdp((6, 7))),
    ],
)
def test_the_first_offer_that_can_be_met_is_taken(header: str, chosen: OverTcp | OverUdp) -> None:
    assert choose(header) == chosen


@pytest.mark.parametrize(
    "header",
    [
        "",
        "RTP/AVP;multicast",
        "RTP/AVP;unicast",
        "RTP/AVP;unicast;client_port=0-1",
        "RTP/AVP;unicast;client_port=5000-70000",
        "RTP/AVP;unicast;client_port=5000-5000",
        "RTP/AVP;unicast;client_port=x",
        "RTP/AVP;unicast;client_port=65535",
        "RTP/AVP/TCP;interleaved=255",
        "RTP/AVP/TCP;interleaved=300-301",
        "RTP/AVP/TCP;interleaved=0-1;mode=record",
    ],
)
def test_nothing_that_can_be_met_is_461(header: str) -> None:
    with pytest.raises(RtspError) as caught:
        choose(header)
    assert caught.value.status == 461


def test_without_udp_only_tcp_is_taken() -> None:
    both = "RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;interleaved=2-3"
    assert choose(both, udp=False) == OverTcp((2, 3))
    with pytest.raises(RtspError) as caught:
        choose("RTP/AVP;unicast;client_port=5000-5001", udp=False)
    assert caught.value.status == 461


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=100))
def test_no_header_raises_anything_else(header: str) -> None:
    try:
        chosen = choose(header)
    except RtspError:
        return
    assert isinstance(chosen, (OverTcp, OverUdp))
