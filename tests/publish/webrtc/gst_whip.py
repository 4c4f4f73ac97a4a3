"""A WHIP server on GStreamer's webrtcbin, run by the system's Python, which has GStreamer's bindings.

    /usr/bin/python3 gst_whip.py TOKEN

Takes one offer at /whip. Prints its port on the first line, then one line for each decoded picture (its size), and
"deleted" when the session is ended.
"""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

WITHIN = 8
"""Seconds for the answer."""


class Server:
    """The one session."""

    def __init__(self) -> None:
        self._pipeline = Gst.Pipeline.new("server")
        self._peer = Gst.ElementFactory.make("webrtcbin", "peer")
        self._peer.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self._pipeline.add(self._peer)
        self._peer.connect("pad-added", self._stream)
        self._peer.connect("notify::ice-gathering-state", self._gathered)
        self._pipeline.set_state(Gst.State.PLAYING)
        self._ready = threading.Event()

    def answer(self, offer: str) -> str | None:
        """The answer with every candidate; called from an HTTP thread."""
        GLib.idle_add(self._take, offer)
        if not self._ready.wait(WITHIN):
            return None
        return self._peer.get_property("local-description").sdp.as_text()

    def _take(self, offer: str) -> None:
        _, message = GstSdp.SDPMessage.new_from_text(offer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, message)
        self._peer.emit("set-remote-description", description, Gst.Promise.new_with_change_func(self._taken))

    def _taken(self, promise: Gst.Promise) -> None:
        self._peer.emit("create-answer", None, Gst.Promise.new_with_change_func(self._answered))

    def _answered(self, promise: Gst.Promise) -> None:
        self._peer.emit("set-local-description", promise.get_reply().get_value("answer"), None)

    def _gathered(self, *_: object) -> None:
        if self._peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            self._ready.set()

    def _stream(self, _: Gst.Element, pad: Gst.Pad) -> None:
        chain = Gst.parse_bin_from_description(
            "rtph264depay ! h264parse ! avdec_h264 ! fakesink name=sink signal-handoffs=true sync=false", True
        )
        chain.get_by_name("sink").connect("handoff", self._picture)
        self._pipeline.add(chain)
        chain.sync_state_with_parent()
        pad.link(chain.get_static_pad("sink"))

    def _picture(self, _: Gst.Element, __: Gst.Buffer, pad: Gst.Pad) -> None:
        shape = pad.get_current_caps().get_structure(0)
        print(shape.get_value("width"), shape.get_value("height"), flush=True)


def handler(server: Server, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            offer = self.rfile.read(int(self.headers["Content-Length"])).decode()
            good = self.headers["Authorization"] == f"Bearer {token}"
            answer = server.answer(offer) if good else None
            self.send_response(201 if answer else 500 if good else 401)
            self.send_header("Content-Type", "application/sdp")
            self.send_header("Location", "/session")
            self.end_headers()
            self.wfile.write((answer or "").encode())

        def do_DELETE(self) -> None:
            self.send_response(200)
            self.end_headers()
            print("deleted", flush=True)

        def log_message(self, *_: object) -> None:
            """Nothing but what is asked for goes out."""

    return Handler


def main() -> None:
    Gst.init(None)
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler(Server(), sys.argv[1]))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    print(http.server_port, flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
