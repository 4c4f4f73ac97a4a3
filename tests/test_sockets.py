from __future__ import annotations

import errno
import math
import socket

import pytest

from faceanond.sockets import SEND_BUFFER, cannot_listen, tune


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EADDRINUSE, "another program uses this port; stop that, or choose another port"),
        (errno.EACCES, "ports below 1024 need a privilege; choose a higher one"),
        (errno.EADDRNOTAVAIL, "this is no address of this machine; use one of its own, 127.0.0.1 or 0.0.0.0"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_a_port_that_cannot_be_had_is_told_with_its_key_and_what_to_do(number: int, advice: str) -> None:
    told = str(cannot_listen("http.listen", "::1", 8080, OSError(number, "whatever")))
    assert told == f"http.listen: cannot listen on TCP [::1]:8080: {advice}"


def test_no_host_means_every_address() -> None:
    assert " UDP *:40000: " in str(cannot_listen("webrtc.udp_ports", "", 40000, OSError("odd"), kind="UDP"))


def test_a_connection_holds_little_that_is_old() -> None:
    with socket.socket() as one:
        tune(one, send_buffer=SEND_BUFFER // 2)
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= SEND_BUFFER  # the kernel counts double


def test_the_kernel_finds_within_twelve_seconds_that_a_machine_is_gone() -> None:
    """Whether pictures are under way or not."""
    with socket.socket() as one:
        tune(one)
        assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        every = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
        # The first question after ten seconds is not asked any more.
        assert idle + math.ceil((10 - idle) / every) * every < 12


def test_a_connection_that_is_gone_already_is_left_alone() -> None:
    one = socket.socket()
    one.close()
    tune(one)
