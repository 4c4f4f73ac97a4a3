"""A real RTSP camera for the tests: GStreamer's server with a test picture, run by the system's Python (needs gi).

Prints its port on the first line. The path is /cam; with --auth the user is "viewer", the password "geheim:@/?#".
"""

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

USER, PASSWORD = "viewer", "geheim:@/?#"


def launch(options):
    width, height = options.size.split("x")
    source = (
        "videotestsrc is-live=true pattern=ball motion=sweep animation-mode=frames ! "
        f"video/x-raw,width={width},height={height},framerate={options.fps}/1,format=I420"
    )
    if options.codec == "mjpeg":
        video = f"{source} ! jpegenc ! rtpjpegpay name=pay0 pt=26"
    else:
        # With slices, the payloader repeats the headers before each slice of a key picture.
        slices = "sliced-threads=true threads=2" if options.sliced else "sliced-threads=false threads=1"
        encoder = (
            f"x264enc tune=zerolatency speed-preset=ultrafast bitrate=2000 key-int-max={options.gop} {slices} ! "
            "video/x-h264,profile=baseline"
        )
        video = f"{source} ! {encoder} ! rtph264pay name=pay0 pt=96 config-interval=-1 mtu=400"
    sound = " audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=8" if options.audio else ""
    return f"( {video}{sound} )"


def lose(_factory, media, every):
    """Drops every n-th RTP packet after it was numbered, as a bad network does."""
    seen = 0

    def drop(_pad, info):
        nonlocal seen
        packets = info.get_buffer_list()
        before = seen // every
        seen += packets.length() if packets is not None else 1
        if seen // every == before:
            return Gst.PadProbeReturn.OK
        return Gst.PadProbeReturn.DROP

    payloader = media.get_element().get_by_name("pay0")
    payloader.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST, drop)


def protect(server, factory, method):
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
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
            "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
        )
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--auth", choices=("basic", "digest"))
    parser.add_argument("--codec", choices=("h264", "mjpeg"), default="h264")
    parser.add_argument("--lose-every", type=int, default=0)
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--gop", type=int, default=25)
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--sliced", action="store_true")
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch(options))
    factory.set_shared(True)
    if options.lose_every:
        factory.connect("media-configure", lose, options.lose_every)
    if options.auth:
        protect(server, factory, options.auth)
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
