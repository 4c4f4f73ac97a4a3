from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import ifaddr
import pytest

from faceanond.publish.webrtc import addresses as module
from faceanond.publish.webrtc.addresses import ExternalAddresses, host_addresses, look_up
from tests.conftest import FakeClock
from tests.waiting import until


@pytest.fixture
def adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    def adapter(name: str, *addresses: object) -> SimpleNamespace:
        return SimpleNamespace(name=name, ips=[SimpleNamespace(ip=address) for address in addresses])

    monkeypatch.setattr(
        ifaddr,
        "get_adapters",
        lambda: [
            adapter("lo", "127.0.0.1", ("::1", 0, 0)),
            adapter("eth0", "192.0.2.2", ("2001:db8::2", 0, 0), ("fe80::1", 0, 2)),
            adapter("docker0", "172.17.0.1"),
            adapter("br-5f2a", "172.18.0.1"),
        ],
    )


@pytest.mark.usefixtures("adapters")
def test_bridges_loopback_and_link_local_addresses_are_not_offered() -> None:
    assert host_addresses(None) == ["192.0.2.2", "2001:db8::2"]


@pytest.mark.usefixtures("adapters")
@pytest.mark.parametrize("local", ["127.0.0.1", "::1", "172.17.0.1"])
def test_the_address_where_the_viewer_asked_comes_first_whatever_it_is(local: str) -> None:
    assert host_addresses(local) == [local, "192.0.2.2", "2001:db8::2"]


@pytest.mark.usefixtures("adapters")
def test_an_ipv4_address_of_a_dual_stack_listener_is_unwrapped() -> None:
    assert host_addresses("::ffff:192.0.2.2") == ["192.0.2.2", "2001:db8::2"]


def test_a_machine_with_loopback_alone_offers_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ifaddr, "get_adapters", list)
    assert host_addresses(None) == ["127.0.0.1"]


@pytest.mark.usefixtures("adapters")
@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["eth*"], ["192.0.2.2", "2001:db8::2"]),
        (["eth0", "docker0"], ["192.0.2.2", "2001:db8::2", "172.17.0.1"]),
        (["br-*"], ["172.18.0.1"]),
        (["lo"], ["127.0.0.1", "::1"]),
        (["*"], ["192.0.2.2", "2001:db8::2", "172.17.0.1", "172.18.0.1"]),
        (["wlan?"], []),
    ],
)
def test_only_addresses_of_the_named_interfaces_are_offered(patterns: list[str], expected: list[str]) -> None:
    assert host_addresses(None, patterns) == expected


@pytest.mark.usefixtures("adapters")
@pytest.mark.parametrize("local", ["127.0.0.1", "172.17.0.1", "2001:db8::7"])
def test_a_filtered_interface_is_not_offered_even_to_who_came_over_it(local: str) -> None:
    assert host_addresses(local, ["eth0"]) == ["192.0.2.2", "2001:db8::2"]


@pytest.mark.usefixtures("adapters")
def test_of_the_named_interfaces_the_one_where_the_viewer_asked_comes_first() -> None:
    assert host_addresses("2001:db8::2", ["eth0"]) == ["2001:db8::2", "192.0.2.2"]


class Names:
    """A name service whose answers the test decides."""

    def __init__(self, **answers: Sequence[str] | Exception) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        answer = self.answers[name.split(".", maxsplit=1)[0]]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_plain_addresses_are_looked_up_nowhere(clock: FakeClock) -> None:
    names = Names()
    external = ExternalAddresses(["203.0.113.9", "2001:db8::9"], clock=clock, resolve=names)
    assert await external.current() == ["203.0.113.9", "2001:db8::9"]
    assert names.asked == []


async def test_a_name_is_looked_up_again_after_a_minute(clock: FakeClock) -> None:
    names = Names(home=["203.0.113.9"])
    external = ExternalAddresses(["home.example", "198.51.100.1"], clock=clock, resolve=names)
    assert await external.current() == ["203.0.113.9", "198.51.100.1"]
    names.answers["home"] = ["203.0.113.10", "2001:db8::10"]
    await clock.advance(59)
    assert await external.current() == ["203.0.113.9", "198.51.100.1"]
    await clock.advance(2)
    assert await external.current() == ["203.0.113.10", "2001:db8::10", "198.51.100.1"]
    assert names.asked == ["home.example"] * 2


async def test_a_name_that_cannot_be_looked_up_keeps_its_addresses_and_is_asked_for_soon(clock: FakeClock) -> None:
    names = Names(home=["203.0.113.9"])
    external = ExternalAddresses(["home.example"], clock=clock, resolve=names)
    await external.current()
    names.answers["home"] = OSError("no answer")
    await clock.advance(61)
    assert await external.current() == ["203.0.113.9"]
    await clock.advance(5)
    assert await external.current() == ["203.0.113.9"]
    assert len(names.asked) == 2
    names.answers["home"] = ["203.0.113.11"]
    await clock.advance(6)
    assert await external.current() == ["203.0.113.11"]


async def test_a_name_service_that_hangs_delays_one_offer_and_no_more(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(module, "LOOKUP", 0.01)
    external = ExternalAddresses(["home.example", "198.51.100.1"], clock=clock, resolve=hang)
    assert await external.current() == ["198.51.100.1"]


async def test_addresses_that_lead_nowhere_from_outside_are_left_out(clock: FakeClock) -> None:
    names = Names(box=["127.0.1.1", "::1", "fe80::1%2", "203.0.113.9"])
    assert await ExternalAddresses(["box"], clock=clock, resolve=names).current() == ["203.0.113.9"]


async def test_offers_that_come_together_share_one_look_up(clock: FakeClock) -> None:
    names = Names(home=["203.0.113.9"])
    external = ExternalAddresses(["home.example"], clock=clock, resolve=names)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(external.current()) for _ in range(5)]
    assert all(task.result() == ["203.0.113.9"] for task in asking)
    assert len(names.asked) == 1


async def test_the_system_is_asked_for_names() -> None:
    with ThreadPoolExecutor(1) as thread:
        assert "127.0.0.1" in await look_up(thread, "localhost")
        with pytest.raises((OSError, UnicodeError)):
            await look_up(thread, "no such name")


async def test_a_silent_name_service_holds_one_thread_a_name_however_often_it_is_asked(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    asked: list[str] = []

    def silent(name: str, *_: object, **__: object) -> list[object]:
        asked.append(name)
        answered.wait()
        return []

    monkeypatch.setattr(module, "LOOKUP", 0.01)
    monkeypatch.setattr(module.socket, "getaddrinfo", silent)
    external = ExternalAddresses(["a.example", "b.example", "198.51.100.1"], clock=clock)
    try:
        for _ in range(5):
            assert await external.current() == ["198.51.100.1"]
            await clock.advance(11)
        await until(lambda: sorted(asked) == ["a.example", "b.example"])
        # They are not waited for.
        external.close()
    finally:
        answered.set()


async def test_a_name_whose_servers_are_silent_keeps_no_other_from_being_looked_up(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def half_silent(name: str, *_: object, **__: object) -> list[object]:
        if name == "dead.example":
            answered.wait()
        return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", ("203.0.113.9", 0))]

    monkeypatch.setattr(module, "LOOKUP", 0.05)
    monkeypatch.setattr(module.socket, "getaddrinfo", half_silent)
    external = ExternalAddresses(["dead.example", "home.example"], clock=clock)
    try:
        for _ in range(20):  # a busy machine may be late with the answer
            if found := await external.current():
                break
            await clock.advance(11)
        assert found == ["203.0.113.9"]
    finally:
        external.close()
        answered.set()


async def test_an_offer_waits_for_all_silent_names_at_once(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: set[str] = set()

    async def together(name: str) -> Sequence[str]:
        waiting.add(name)
        await until(lambda: len(waiting) == 3)
        return [f"203.0.113.{len(name)}"]

    external = ExternalAddresses(["a.example", "bb.example", "ccc.example"], clock=clock, resolve=together)
    assert await external.current() == ["203.0.113.9", "203.0.113.10", "203.0.113.11"]
