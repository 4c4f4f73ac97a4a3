"""Offers as players write them, shortened; tests change one thing at a time."""

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)

VIDEO = f"""\
m=video 9 UDP/TLS/RTP/SAVPF 96 102 103 108 109
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2113937151 0f6f6025-ce71-4253-8635-3be83ef3cfdc.local 58919 typ host generation 0
a=candidate:2 1 udp 2113937151 192.0.2.7 40000 typ host generation 0 network-cost 999
a=candidate:3 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0
a=candidate:4 1 udp 1677729535 198.51.100.4 40001 typ srflx raddr 192.0.2.7 rport 40000
a=end-of-candidates
a=ice-ufrag:b41O
a=ice-pwd:obNs5HGxS7Csj3QiP2gddQzZ
a=ice-options:trickle
a=fingerprint:{FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtpmap:102 H264/90000
a=rtcp-fb:102 goog-remb
a=rtcp-fb:102 nack
a=rtcp-fb:102 nack pli
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:108 H264/90000
a=rtcp-fb:* nack
a=rtcp-fb:108 nack pli
a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:109 rtx/90000
a=fmtp:109 apt=108
"""

AUDIO = """\
m=audio 9 UDP/TLS/RTP/SAVPF 111 63
c=IN IP4 0.0.0.0
a=mid:a
a=recvonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:63 red/48000/2
"""

DATA = """\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:d
a=sctp-port:5000
"""


def offer(*sections: str, group: str = "0") -> str:
    """A whole description from its sections; `group` names those that share a transport."""
    head = [
        "v=0",
        "o=- 55 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {group}" if group else "a=msid-semantic:",
    ]
    text = "\n".join(head) + "\n" + "".join(sections or (VIDEO,))
    return text.replace("\n", "\r\n")
