from __future__ import annotations

import pytest

from faceanond.publish.h264 import ParameterSets
from faceanond.publish.rtsp import sdp

SETS = ParameterSets(b"\x67\x42\xc0\x1f\xda", b"\x68\xce\x3c\x80")


def test_it_names_codec_profile_and_parameter_sets() -> None:
    lines = sdp.describe("yard", SETS, address="192.0.2.1").decode().split("\r\n")
    assert lines[0] == "v=0"
    assert "s=yard" in lines
    assert "m=video 0 RTP/AVP 96" in lines
    assert "a=rtpmap:96 H264/90000" in lines
    assert "a=fmtp:96 packetization-mode=1;profile-level-id=42c01f;sprop-parameter-sets=Z0LAH9o=,aM48gA==" in lines
    assert lines[-2:] == ["a=control:trackID=0", ""]


@pytest.mark.parametrize(
    ("address", "origin", "connection"),
    [("192.0.2.1", "IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0"), ("fe80::1%eth0", "IN IP6 fe80::1", "c=IN IP6 ::")],
)
def test_the_address_family_is_the_servers(address: str, origin: str, connection: str) -> None:
    lines = sdp.describe("yard", SETS, address=address).decode().split("\r\n")
    assert lines[1].endswith(origin)
    assert connection in lines


def test_the_version_changes_with_the_description() -> None:
    other = ParameterSets(b"\x67\x42\xc0\x28\xda", SETS.pps)
    versions = {sdp.describe("yard", sets, address="::1").split()[2] for sets in (SETS, SETS, other)}
    assert len(versions) == 2
