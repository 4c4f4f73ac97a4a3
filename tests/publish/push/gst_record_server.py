"""A real media server that records: GStreamer's RTSP server, run by the system's Python (needs gi).

Prints its port on the first line, and one line for each decoded picture: its size and the mean of its luma. The path is
/yard; with --auth the user is "viewer", the password "geheim:@/?#".
"""

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

USER, PASSWORD = "viewer", "geheim:@/?#"
LAUNCH = (
    "( rtph264depay name=depay0 ! h264parse ! avdec_h264 ! video/x-raw,format=I420 ! "
    "fakesink name=sink signal-handoffs=true sync=false async=false )"
)


def tell(_sink, buffer, pad):
    structure = pad.get_current_caps().get_structure(0)
    width, height = structure.get_value("width"), structure.get_value("height")
    _, data = buffer.map(Gst.MapFlags.READ)
    luma = data.data[: width * height]
    print(width, height, sum(luma) // len(luma), flush=True)
    buffer.unmap(data)


def protect(server, factory, method):
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "publisher")
    auth = GstRtspServer.RTSPAuth()
    if method == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(USER, PASSWORD, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(USER, PASSWORD), token)
    server.set_auth(auth)
    factory.add_role_from_structure(
        Gst.Structure.new_from_string(
            "publisher, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
        )
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--auth", choices=("basic", "digest"))
    parser.add_argument("--port", default="0")
    parser.add_argument("--tls", help="a PEM file with a certificate and its key")
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(LAUNCH)
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_latency(50)
    factory.connect(
        "media-configure", lambda _, media: media.get_element().get_by_name("sink").connect("handoff", tell)
    )
    if options.auth:
        protect(server, factory, options.auth)
    if options.tls:
        auth = server.get_auth() or GstRtspServer.RTSPAuth()
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(options.tls))
        server.set_auth(auth)
    server.get_mount_points().add_factory("/yard", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
