"""Wrong logins are counted, and an address that brings many must wait."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from faceanond.buckets import MOST_ADDRESSES
from faceanond.logins import BURST, MOST_LINES, MOST_RUNS, FailedLogins
from tests.conftest import FakeClock


@pytest.fixture
def logins(clock: FakeClock) -> FailedLogins:
    return FailedLogins(clock)


def fail(logins: FailedLogins, address: str, times: int = BURST) -> None:
    for _ in range(times):
        assert logins.wait(address) == 0
        logins.note("rtsp", address)


def test_after_some_wrong_ones_an_address_waits_five_seconds_for_each_further_try(
    logins: FailedLogins, clock: FakeClock
) -> None:
    fail(logins, "192.0.2.1")
    assert logins.wait("192.0.2.1") == 5
    clock.move(4.9)
    assert logins.wait("192.0.2.1") == 1
    clock.move(0.2)
    fail(logins, "192.0.2.1", 1)
    assert logins.wait("192.0.2.1") == 5


def test_tries_come_back_with_time_but_never_more_than_at_first(logins: FailedLogins, clock: FakeClock) -> None:
    fail(logins, "192.0.2.1")
    clock.move(100_000.0)
    fail(logins, "192.0.2.1")
    assert logins.wait("192.0.2.1") > 0


@pytest.mark.parametrize(
    ("other", "waits"),
    [
        ("192.0.2.2", False),
        ("2001:db8::1", False),
        ("::ffff:192.0.2.1", True),
    ],
)
def test_only_that_address_waits(logins: FailedLogins, other: str, waits: bool) -> None:
    fail(logins, "192.0.2.1")
    assert (logins.wait(other) > 0) is waits


def test_an_ipv6_customer_is_one_whatever_the_last_64_bits(logins: FailedLogins) -> None:
    fail(logins, "2001:db8:1:2::1")
    assert logins.wait("2001:db8:1:2:ffff::9") > 0
    assert logins.wait("2001:db8:1:3::1") == 0
    fail(logins, "fe80::1%eth0")
    assert logins.wait("fe80::2") > 0


def test_a_client_that_has_no_address_is_limited_as_well(logins: FailedLogins) -> None:
    fail(logins, "gone")
    assert logins.wait("gone") > 0


def test_what_is_remembered_has_an_end(logins: FailedLogins) -> None:
    fail(logins, "192.0.2.1")
    for number in range(MOST_ADDRESSES):
        logins.note("http", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(logins._tries) == MOST_ADDRESSES
    assert len(logins._runs) == MOST_RUNS
    assert logins.wait("192.0.2.1") == 0


def test_each_protocol_has_its_count_from_the_start(logins: FailedLogins) -> None:
    assert logins.counts == {"http": 0, "rtsp": 0}
    logins.note("rtsp", "192.0.2.1")
    assert logins.counts == {"http": 0, "rtsp": 1}


def test_the_log_has_one_line_a_second_for_each_address(logins: FailedLogins, clock: FakeClock) -> None:
    with capture_logs() as lines:
        for _ in range(10):
            logins.note("rtsp", "192.0.2.1")
        logins.note("rtsp", "192.0.2.7", name="guard")
        clock.move(1.0)
        logins.note("rtsp", "192.0.2.7")
        logins.note("rtsp", "192.0.2.1")
    told = [(line["client"], line["viewer"], line["count"]) for line in lines]
    assert told == [
        ("192.0.2.1", None, 1),
        ("192.0.2.7", "guard", 1),
        ("192.0.2.7", None, 1),
        ("192.0.2.1", None, 10),
    ]


def test_the_log_says_once_a_minute_that_an_address_has_to_wait(logins: FailedLogins, clock: FakeClock) -> None:
    with capture_logs() as lines:
        fail(logins, "192.0.2.1")
        for _ in range(13):
            clock.move(5.0)
            fail(logins, "192.0.2.1", 1)
    waiting = [line for line in lines if line["event"] == "address must wait after wrong logins"]
    assert [(line["client"], line["failed"], line["seconds"]) for line in waiting] == [
        ("192.0.2.1", BURST, 5),
        ("192.0.2.1", BURST + 12, 5),
    ]


def test_many_addresses_together_get_ten_lines_a_second_and_lose_no_count(
    logins: FailedLogins, clock: FakeClock
) -> None:
    with capture_logs() as lines:
        for number in range(MOST_RUNS - 1):
            logins.note("http", f"10.0.{number >> 8}.{number & 255}")
        assert len(lines) == MOST_LINES
        clock.move(1.0)
        logins.note("http", "10.0.1.1")
    assert (lines[-1]["client"], lines[-1]["count"]) == ("10.0.1.1", 2)


def test_the_log_names_the_viewer_that_somebody_claimed_to_be(logins: FailedLogins, clock: FakeClock) -> None:
    with capture_logs() as lines:
        logins.note("http", "192.0.2.1", name="guard")
        clock.move(1.0)
        logins.note("http", "192.0.2.1")
    assert [line["viewer"] for line in lines] == ["guard", None]


def test_the_same_wrong_login_again_is_counted_and_told_and_costs_no_try(logins: FailedLogins) -> None:
    fail(logins, "192.0.2.1", BURST - 1)
    for _ in range(50):
        logins.note("http", "192.0.2.1", again=True)
    assert logins.counts["http"] == 50
    assert logins.wait("192.0.2.1") == 0
    fail(logins, "192.0.2.1", 1)
    assert logins.wait("192.0.2.1") > 0
