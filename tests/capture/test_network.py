"""FFmpeg's connection, seen from outside."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from faceanond.capture.network import Connection


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def connection(listener: socket.socket) -> Connection:
    made = Connection("127.0.0.1", listener.getsockname()[1])
    made.resolve()
    return made


def connect(listener: socket.socket) -> socket.socket:
    client = socket.create_connection(listener.getsockname())
    client.settimeout(5)
    return client


def ended(client: socket.socket) -> bool:
    client.settimeout(0.05)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False


def test_shutting_ends_the_connection_that_was_opened(listener: socket.socket) -> None:
    mine = connection(listener)
    with mine.opening():
        client = connect(listener)
    with client:
        assert not ended(client)
        mine.shut()
        assert ended(client)
    mine.forget()


def test_other_connections_to_the_same_place_are_left_alone(listener: socket.socket) -> None:
    first, second = connection(listener), connection(listener)
    with connect(listener) as stranger:
        with first.opening():
            one = connect(listener)
        with second.opening():
            other = connect(listener)
        with one, other:
            second.shut()
            assert ended(other)
            assert not ended(one)
            assert not ended(stranger)
            first.shut()
            assert ended(one)
            assert not ended(stranger)
    first.forget()
    second.forget()


def test_two_that_open_at_the_same_time_are_never_mixed_up(listener: socket.socket) -> None:
    first, second = connection(listener), connection(listener)
    with first.opening(), second.opening():
        one, other = connect(listener), connect(listener)
    with one, other:
        first.shut()
        second.shut()
        assert not ended(one)
        assert not ended(other)
    assert not first.went_elsewhere()


def test_a_connection_can_be_shut_while_it_is_opening(listener: socket.socket) -> None:
    mine = connection(listener)
    with mine.opening(), connect(listener) as client:
        mine.shut()
        assert ended(client)
    mine.forget()


def test_after_forgetting_nothing_is_shut(listener: socket.socket) -> None:
    mine = connection(listener)
    with mine.opening():
        client = connect(listener)
    with client:
        mine.forget()
        mine.shut()
        assert not ended(client)


def test_a_connection_to_somewhere_else_is_noticed(listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        mine = connection(listener)
        with mine.opening():
            client = connect(elsewhere)
        with client:
            assert mine.went_elsewhere()
    there = connection(listener)
    with there.opening():
        client = connect(listener)
    with client:
        assert not there.went_elsewhere()
    there.forget()


def test_without_a_host_nothing_happens() -> None:
    none = Connection(None, None)
    with none.opening():
        pass
    none.shut()
    none.forget()
    assert not none.went_elsewhere()


def test_an_unknown_host_is_an_error() -> None:
    with pytest.raises(socket.gaierror):
        Connection("camera.invalid", 554).resolve()
