"""The built-in RTSP server (RFC 2326): cameras as `rtsp://host:8554/NAME`.

`parser`, `messages`, `transport` and `sdp` are pure; `delivery` sends packets, `session` is one player, `connection`
answers its requests, `server` listens.
"""
