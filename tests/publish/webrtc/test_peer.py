from __future__ import annotations

from pydantic import SecretStr

from faceanond.config.model import IceServer, WebRtc
from faceanond.publish.packet import Codec
from faceanond.publish.webrtc.peer import capabilities, configuration, constrained


def test_stun_and_turn_servers_are_those_of_the_configuration() -> None:
    servers = (
        IceServer(urls=("turn:turn.example.org",), username="wall", credential=SecretStr("geheim")),
        IceServer(urls=("stun:stun.example.org",)),
    )
    made = configuration(WebRtc(ice_servers=servers)).iceServers
    assert [(one.urls, one.username, one.credential) for one in made] == [
        (["turn:turn.example.org"], "wall", "geheim"),
        (["stun:stun.example.org"], None, None),
    ]
    assert configuration(WebRtc()).iceServers == []


def test_each_codec_comes_with_retransmission_and_the_best_profile_first() -> None:
    names = [capability.mimeType for capability in capabilities(Codec.VP8)]
    assert (names[0], names[-1], len(names)) == ("video/VP8", "video/rtx", 2)
    profiles = [constrained(capability) for capability in capabilities(Codec.H264)]
    assert profiles.index(True) == 0
