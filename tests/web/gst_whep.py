"""A WHEP player on GStreamer's webrtcbin, run by the system's Python, which has GStreamer's bindings.

    /usr/bin/python3 gst_whep.py URL TOKEN FRAMES

Sends its offer at once, without candidates, and its candidates afterwards by PATCH, as a trickling player does. When it
has decoded so many pictures it ends the session, and prints what happened as JSON: the statuses of POST, PATCH and
DELETE, and the pictures' size. Exits 1 when that takes longer than 20 seconds.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

WITHIN = 20
CAPS = (
    "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f"
)


class Player:
    """One viewer, from offer to end. Everything but `_candidate` and `_picture` happens on the main loop."""

    def __init__(self, url: str, token: str, frames: int) -> None:
        self.told: dict[str, Any] = {"frames": 0, "patch": []}
        self._url, self._token, self._frames = url, token, frames
        self._session = self._tag = self._mid = ""
        self._waiting: list[str] = []
        self._loop = GLib.MainLoop()
        self._pipeline = Gst.Pipeline.new("player")
        self._peer = Gst.ElementFactory.make("webrtcbin", "peer")
        self._peer.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self._pipeline.add(self._peer)
        self._peer.connect("pad-added", self._stream)
        self._peer.connect("on-ice-candidate", self._candidate)

    def run(self) -> bool:
        """Whether as many pictures came as were wanted."""
        self._pipeline.set_state(Gst.State.PLAYING)
        receive = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
        self._peer.emit("add-transceiver", receive, Gst.Caps.from_string(CAPS))
        self._peer.emit("create-offer", None, Gst.Promise.new_with_change_func(self._offered))
        GLib.timeout_add_seconds(WITHIN, self._loop.quit)
        self._loop.run()
        self._pipeline.set_state(Gst.State.NULL)
        if self._session:
            self.told["delete"] = self._ask("DELETE", self._session)[0]
        return bool(self.told["frames"] >= self._frames)

    def _ask(self, method: str, url: str, body: str = "", **headers: str) -> tuple[int, Any, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            url,
            data=body.encode() if body else None,
            headers={**named, "Authorization": f"Bearer {self._token}"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def _offered(self, promise: Gst.Promise) -> None:
        promise.wait()
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self._peer.emit("set-local-description", offer, None)
        GLib.idle_add(self._exchange, offer.sdp.as_text())

    def _exchange(self, offer: str) -> None:
        self._mid = next(line for line in offer.splitlines() if line.startswith("a=mid:"))
        status, headers, answer = self._ask("POST", self._url, offer, Content_Type="application/sdp")
        self.told["post"] = status
        if status != 201:
            self._loop.quit()
            return
        self._session = urllib.parse.urljoin(self._url, headers["Location"])
        self._tag = headers["ETag"]
        _, message = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self._peer.emit("set-remote-description", description, None)
        GLib.timeout_add(100, self._trickle)

    def _candidate(self, _: Gst.Element, line: int, candidate: str) -> None:
        self._waiting.append(candidate)

    def _trickle(self) -> bool:
        """Sends the candidates that were found meanwhile; called again and again."""
        found, self._waiting = self._waiting, []
        if found:
            body = "".join(f"{line}\r\n" for line in (self._mid, *(f"a={candidate}" for candidate in found)))
            kind = "application/trickle-ice-sdpfrag"
            self.told["patch"].append(self._ask("PATCH", self._session, body, Content_Type=kind, If_Match=self._tag)[0])
        return True

    def _stream(self, _: Gst.Element, pad: Gst.Pad) -> None:
        chain = Gst.parse_bin_from_description(
            "rtph264depay ! h264parse ! avdec_h264 ! fakesink name=sink signal-handoffs=true sync=false", True
        )
        chain.get_by_name("sink").connect("handoff", self._picture)
        self._pipeline.add(chain)
        chain.sync_state_with_parent()
        pad.link(chain.get_static_pad("sink"))

    def _picture(self, _: Gst.Element, __: Gst.Buffer, pad: Gst.Pad) -> None:
        self.told["frames"] += 1
        if self.told["frames"] == 1:
            shape = pad.get_current_caps().get_structure(0)
            self.told["size"] = [shape.get_value("width"), shape.get_value("height")]
        if self.told["frames"] == self._frames and self.told["patch"]:
            self._loop.quit()


def main() -> int:
    Gst.init(None)
    url, token, frames = sys.argv[1:]
    player = Player(url, token, int(frames))
    good = player.run()
    print(json.dumps(player.told))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
