"""The namespaces are what they claim to be: otherwise the tests of networks would pass without proving anything."""

from __future__ import annotations

import contextlib
import socket
import statistics
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.e2e.netns import INSIDE, OUTSIDE, SERVER, VIEWER, Namespace, lab

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]


@contextlib.contextmanager
def echo(space: Namespace, port: int) -> Iterator[list[str]]:
    """A UDP echo inside a namespace; the list holds the addresses that asked."""
    seen: list[str] = []
    with space.entered():
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with listener:
        listener.bind(("", port))

        def serve() -> None:
            while True:
                data, peer = listener.recvfrom(2048)
                if data == b"end":
                    return
                seen.append(peer[0])
                listener.sendto(data, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield seen
        finally:
            with space.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
                ending.sendto(b"end", ("127.0.0.1", port))
            thread.join()


def asked(space: Namespace, address: str, port: int, tries: int = 1, wait: float = 0.5) -> list[float]:
    """Seconds of each round trip that succeeded, in the order of arrival; `tries` are sent 5 ms apart."""
    with space.entered():
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with asking:
        sent: dict[bytes, float] = {}
        times: list[float] = []
        end = time.monotonic() + wait + tries * 0.005
        asking.settimeout(0.005)
        while (now := time.monotonic()) < end:
            if len(sent) < tries:
                name = str(len(sent)).encode()
                sent[name] = now
                asking.sendto(name, (address, port))
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                answer = asking.recv(64)
                times.append(time.monotonic() - sent[answer])
        return times


def test_the_viewer_reaches_the_server_through_the_router() -> None:
    with lab() as net, echo(net.server, 4000) as seen:
        assert asked(net.viewer, SERVER, 4000)
        assert seen == [VIEWER]


def test_behind_nat_only_the_forwarded_ports_are_reached() -> None:
    with lab() as net, echo(net.server, 4000) as seen, echo(net.server, 4001) as closed:
        net.forward(udp=["4000"])
        assert asked(net.viewer, OUTSIDE, 4000)
        assert not asked(net.viewer, OUTSIDE, 4001)
        assert not asked(net.viewer, SERVER, 4000)
        assert (seen, closed) == ([VIEWER], [])


def test_a_server_behind_nat_shows_the_routers_address() -> None:
    with lab() as net, echo(net.viewer, 4000) as seen:
        net.forward()
        assert asked(net.server, VIEWER, 4000)
        assert seen == [OUTSIDE]


def test_a_hidden_viewer_shows_the_routers_address() -> None:
    with lab() as net, echo(net.server, 4000) as seen:
        net.hide_viewer()
        assert asked(net.viewer, SERVER, 4000)
        assert seen == [INSIDE]


def test_where_udp_is_dropped_http_gets_through() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with lab() as net, echo(net.server, 4000) as seen:
        net.drop_udp()
        assert not asked(net.viewer, SERVER, 4000)
        assert not seen
        assert net.dropped_udp() > 0
        with net.server.entered():
            server = HTTPServer(("", 8080), Page)
        with server, net.viewer.entered():
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            with urllib.request.urlopen(f"http://{SERVER}:8080/", timeout=5) as answer:
                assert answer.status == 204
            thread.join()


def test_a_bad_line_loses_and_delays_as_told() -> None:
    with lab() as net, echo(net.server, 4000) as seen:
        plain = asked(net.viewer, SERVER, 4000, 200)
        assert len(plain) == 200
        seen.clear()
        with net.impaired(loss=0.05, delay=0.05, jitter=0.05):
            times = asked(net.viewer, SERVER, 4000, 1000)
        # One way loses 5 %, so both together 9.75 %; five standard deviations of a thousand are 4.7 %.
        assert 1000 * (0.9025 - 0.047) < len(times) < 1000 * (0.9025 + 0.047)
        assert 0.09 < statistics.mean(times) < 0.13
        assert 0.03 < statistics.stdev(times) < 0.06
        assert max(times) < 0.3
        assert asked(net.viewer, SERVER, 4000, 1, 1.0)
