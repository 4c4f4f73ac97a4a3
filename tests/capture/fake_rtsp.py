"""Cameras that misbehave: a small RTSP server that answers as told and then does what no camera should."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Literal

Behaviour = Literal["hang", "silent", "chatter", "redirect", "garbage", "refuse"]
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=fake\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)


class FakeCamera:
    """Listens on an ephemeral port of 127.0.0.1.

    hang: accepts and says nothing. silent: answers up to PLAY, then nothing. chatter: after PLAY sends sender reports
    for ever, but no picture. redirect: sends the client to `elsewhere`. garbage: answers with noise. refuse: 461.
    """

    def __init__(self, behaviour: Behaviour, elsewhere: int = 0) -> None:
        self.behaviour = behaviour
        self.elsewhere = elsewhere
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._accept, name="fake camera", daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._stopped.set()
        for each in (self._listener, *self._clients):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                thread = threading.Thread(target=self._serve, args=(client,), name="fake camera client", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.behaviour == "hang":
                self._stopped.wait()
                return
            if self.behaviour == "garbage":
                client.sendall(bytes(range(256)) * 64)
                return
            buffer = b""
            while not self._stopped.is_set():
                data = client.recv(4096)
                if not data:
                    return
                buffer += data
                while b"\r\n\r\n" in buffer:
                    request, buffer = buffer.split(b"\r\n\r\n", 1)
                    self._answer(client, request.decode())

    def _answer(self, client: socket.socket, request: str) -> None:
        self.requests.append(request)
        method = request.split(maxsplit=1)[0]
        number = next(line.split(":")[1].strip() for line in request.split("\r\n") if line.lower().startswith("cseq"))
        status, headers, body = "200 OK", "", ""
        if method == "OPTIONS":
            headers = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE" and self.behaviour == "redirect":
            status = "302 Moved"
            headers = f"Location: rtsp://127.0.0.1:{self.elsewhere}/cam\r\n"
        elif method == "DESCRIBE":
            headers, body = "Content-Type: application/sdp\r\n", SDP
        elif method == "SETUP" and self.behaviour == "refuse":
            status = "461 Unsupported Transport"
        elif method == "SETUP":
            asked = next(
                line.split(":", 1)[1].strip() for line in request.split("\r\n") if line.startswith("Transport")
            )
            extra = ";server_port=9-10" if "client_port" in asked else ""
            headers = f"Transport: {asked}{extra}\r\nSession: 1\r\n"
        elif method == "PLAY":
            headers = "Session: 1\r\n"
        answer = f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"
        client.sendall(answer.encode())
        if method == "PLAY" and self.behaviour == "chatter":
            report = struct.pack("!BBHIIIIII", 0x80, 200, 6, 7, 0, 0, 0, 0, 0)
            while not self._stopped.wait(0.02):
                client.sendall(b"$\x01" + struct.pack("!H", len(report)) + report)


@contextlib.contextmanager
def fake_camera(behaviour: Behaviour, elsewhere: int = 0) -> Iterator[FakeCamera]:
    camera = FakeCamera(behaviour, elsewhere)
    try:
        yield camera
    finally:
        camera.close()
