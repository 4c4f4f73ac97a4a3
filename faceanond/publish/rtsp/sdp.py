"""The description of one camera's stream (RFC 4566, RFC 6184 section 8.2). Pure."""

from __future__ import annotations

import zlib

from faceanond.publish.h264 import ParameterSets
from faceanond.publish.packet import CLOCK_RATE
from faceanond.publish.rtp import PAYLOAD_TYPE
from faceanond.publish.rtsp.paths import TRACK


def describe(camera: str, sets: ParameterSets, *, address: str) -> bytes:
    """The SDP of one camera; `address` is this server's own."""
    # The version differs whenever the description does.
    version = zlib.crc32(sets.sps + sets.pps)
    family, anywhere = ("IP6", "::") if ":" in address else ("IP4", "0.0.0.0")  # noqa: S104 (SDP's "no address yet")
    lines = (
        "v=0",
        f"o=- {version} {version} IN {family} {address.partition('%')[0]}",
        f"s={camera}",
        f"c=IN {family} {anywhere}",
        "t=0 0",
        "a=control:*",
        "a=range:npt=now-",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} H264/{CLOCK_RATE}",
        f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={sets.profile_level_id};"
        f"sprop-parameter-sets={sets.sprop}",
        f"a=control:{TRACK}",
    )
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
