from __future__ import annotations

import socket

import pytest

from faceanond.addresses import distance, is_loopback, is_this_machine, literal


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_an_address_is_read_as_the_system_reads_it(host: str, address: str) -> None:
    assert str(literal(host)) == address
    if "%" not in host:
        [(*_, (found, *_)), *_] = socket.getaddrinfo(host, 1, flags=socket.AI_NUMERICHOST)
        assert found == address


@pytest.mark.parametrize(
    "host", ["", "media", "127.0.0.1.example.org", "127.0.0.1 x", "a\0", "é", "\ud800", "1.2.3.4.5"]
)
def test_a_name_is_no_address(host: str) -> None:
    assert literal(host) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", 0),
        ("0.0.0.0", 0),
        ("::", 0),
        ("::ffff:127.0.0.1", 0),
        ("fe80::1%eth0", 1),
        ("169.254.7.7", 1),
        ("192.168.1.5", 2),
        ("8.8.8.8", 3),
    ],
)
def test_the_distance_of_an_address_is_from_where_it_can_be_reached(address: str, expected: int) -> None:
    assert distance(address) == expected


def test_no_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object, **__: object) -> None:
        pytest.fail("a name was looked up")

    for function in ("getaddrinfo", "gethostbyname", "gethostbyaddr", "getfqdn"):
        monkeypatch.setattr(socket, function, look_up)
    monkeypatch.setattr(socket, "gethostname", lambda: "Recorder")
    here = ["127.1", "0.0.0.0", "::ffff:127.0.0.1", "localhost", "LOCALHOST.", "recorder", "recorder."]
    assert [host for host in here if not is_this_machine(host)] == []
    elsewhere = ["", "media", "recorder.example.org", "localhost.example.org", "127.0.0.1.example.org", "10.0.0.1"]
    assert [host for host in elsewhere if is_this_machine(host)] == []


def test_a_listener_on_every_interface_is_for_others_too() -> None:
    assert all(map(is_loopback, ["127.1", "::1", "::ffff:127.0.0.1", "localhost."]))
    assert not any(map(is_loopback, ["", "0.0.0.0", "0", "::", "::ffff:0.0.0.0", "::ffff:10.0.0.1", "media"]))
