from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from faceanond.publish.webrtc.errors import NoFreePortError
from faceanond.publish.webrtc.sockets import bind


@contextlib.contextmanager
def closing(sockets: list[socket.socket]) -> Iterator[list[socket.socket]]:
    try:
        yield sockets
    finally:
        for opened in sockets:
            opened.close()


def test_every_address_gets_the_same_port() -> None:
    with closing(bind(["127.0.0.1", "127.0.0.2", "127.0.0.3"], (0, 0))) as sockets:
        assert [opened.getsockname()[0] for opened in sockets] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
        assert len({opened.getsockname()[1] for opened in sockets}) == 1


def free_range(length: int) -> tuple[int, int]:
    """Ports that are free now on the loopback addresses which these tests use."""
    for first in range(42000, 60000, length):
        with contextlib.suppress(NoFreePortError), contextlib.ExitStack() as stack:
            for port in range(first, first + length):
                stack.enter_context(closing(bind(["127.0.0.1", "127.0.0.2"], (port, port))))
            return first, first + length - 1
    pytest.fail("no free ports")


def test_ports_come_from_the_range_and_its_end_is_told() -> None:
    ports = free_range(3)
    with contextlib.ExitStack() as stack:
        taken = {
            opened.getsockname()[1]
            for _ in range(3)
            for opened in stack.enter_context(closing(bind(["127.0.0.1", "127.0.0.2"], ports)))
        }
        assert taken == set(range(ports[0], ports[1] + 1))
        with pytest.raises(NoFreePortError, match=r"webrtc\.udp_ports"):
            bind(["127.0.0.1"], ports)


def test_a_port_that_is_taken_on_one_address_is_passed_over_on_all() -> None:
    ports = free_range(2)
    with closing(bind(["127.0.0.2"], (ports[0], ports[0]))):
        for _ in range(4):
            with closing(bind(["127.0.0.1", "127.0.0.2"], ports)) as sockets:
                assert [opened.getsockname()[1] for opened in sockets] == [ports[1]] * 2


def test_an_address_that_is_not_ours_is_left_out() -> None:
    with closing(bind(["198.51.100.77", "127.0.0.1"], (0, 0))) as sockets:
        assert [opened.getsockname()[0] for opened in sockets] == ["127.0.0.1"]
