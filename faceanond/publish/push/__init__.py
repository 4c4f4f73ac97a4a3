"""Sends a camera's anonymised stream to a media server, which carries the viewers that one process cannot.

`pusher` retries for ever around one attempt: `rtsp` (ANNOUNCE and RECORD), or WHIP in `publish/webrtc/whip`. A push is
one more reader of the stream: a server that is down, hangs or refuses costs its own pictures and nothing else.
"""
