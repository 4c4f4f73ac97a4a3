from __future__ import annotations

from faceanond.buckets import MOST_ADDRESSES
from faceanond.web.limit import OfferLimit


def test_a_burst_is_allowed_and_then_so_many_a_second() -> None:
    limit = OfferLimit(burst=3, rate=2)
    assert [limit.ask("a", 0.0) for _ in range(4)] == [0, 0, 0, 1]
    assert limit.ask("a", 0.5) == 0
    assert limit.ask("a", 0.5) == 1


def test_the_time_to_wait_is_enough() -> None:
    limit = OfferLimit(burst=1, rate=0.1)
    assert limit.ask("a", 0.0) == 0
    assert limit.ask("a", 0.0) == 10
    assert limit.ask("a", 10.0) == 0


def test_addresses_do_not_share_a_bucket() -> None:
    limit = OfferLimit(burst=1, rate=1)
    assert limit.ask("a", 0.0) == 0
    assert limit.ask("b", 0.0) == 0
    assert limit.ask("a", 0.0) == 1


def test_the_addresses_of_one_machine_in_ipv6_share_a_bucket() -> None:
    limit = OfferLimit(burst=1, rate=1)
    assert limit.ask("2001:db8:1:2::1", 0.0) == 0
    assert limit.ask("2001:db8:1:2:3::4", 0.0) == 1
    assert limit.ask("2001:db8:1:3::1", 0.0) == 0


def test_memory_is_bounded() -> None:
    limit = OfferLimit(burst=1, rate=0.001)
    for number in range(3 * MOST_ADDRESSES):
        limit.ask(str(number), 0.0)
    assert len(limit._buckets) == MOST_ADDRESSES


def test_viewers_behind_one_address_have_a_limit_each() -> None:
    limit = OfferLimit(burst=1, rate=0.1)
    assert [limit.ask("192.0.2.1", 0.0, viewer=viewer) for viewer in ("guard", "guard", "chief", "")] == [0, 10, 0, 0]
    assert limit.ask("192.0.2.2", 0.0, viewer="guard") == 0


def test_a_viewer_with_an_ipv6_network_is_one_whatever_the_last_64_bits() -> None:
    limit = OfferLimit(burst=1, rate=0.1)
    assert limit.ask("2001:db8:1:2::1", 0.0, viewer="guard") == 0
    assert limit.ask("2001:db8:1:2:ffff::9", 0.0, viewer="guard") == 10
