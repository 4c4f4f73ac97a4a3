from __future__ import annotations

from faceanond.connections import Connections
from tests.conftest import FakeClock


class Line:
    def __init__(self, client: str, *, busy: bool = False) -> None:
        self.client = client
        self.busy = busy
        self.cut = False

    def abort(self) -> None:
        self.cut = True


def filled(clock: FakeClock, *lines: Line) -> Connections:
    held = Connections(len(lines), listener="test", clock=clock)
    for line in lines:
        held.came(line)
    return held


def test_while_there_is_room_nobody_is_cut(clock: FakeClock) -> None:
    lines = [Line("192.0.2.1"), Line("192.0.2.1")]
    held = filled(clock, *lines)
    assert len(held) == 2
    assert not any(line.cut for line in lines)


def test_who_floods_loses_the_oldest_of_his_own(clock: FakeClock) -> None:
    quiet, first, second = Line("192.0.2.7"), Line("192.0.2.1"), Line("192.0.2.1")
    held = filled(clock, quiet, first, second)
    newcomer = Line("192.0.2.8")
    assert held.came(newcomer)
    assert [line.cut for line in (quiet, first, second, newcomer)] == [False, True, False, False]
    assert len(held) == 3


def test_connections_on_which_something_is_answered_are_never_cut(clock: FakeClock) -> None:
    lines = [Line("192.0.2.1", busy=True), Line("192.0.2.1", busy=True), Line("192.0.2.1")]
    held = filled(clock, *lines)
    held.came(Line("192.0.2.2"))
    assert [line.cut for line in lines] == [False, False, True]


def test_where_all_are_busy_the_newcomer_is_turned_away(clock: FakeClock) -> None:
    lines = [Line("192.0.2.1", busy=True), Line("192.0.2.2", busy=True)]
    held = filled(clock, *lines)
    newcomer = Line("192.0.2.3")
    assert not held.came(newcomer)
    assert newcomer.cut
    assert len(held) == 2


def test_one_network_of_ipv6_counts_as_one_address(clock: FakeClock) -> None:
    quiet, first, second = Line("2001:db8:7::1"), Line("2001:db8:1::1"), Line("2001:db8:1::2")
    held = filled(clock, quiet, first, second)
    held.came(Line("2001:db8:8::1"))
    assert (quiet.cut, first.cut) == (False, True)


def test_what_is_closed_makes_room(clock: FakeClock) -> None:
    one = Line("192.0.2.1")
    held = filled(clock, one)
    held.went(one)
    held.went(one)
    other = Line("192.0.2.2")
    held.came(other)
    assert not other.cut
