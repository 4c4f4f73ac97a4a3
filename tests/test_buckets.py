from __future__ import annotations

import pytest

from faceanond.buckets import Buckets, network_of


def test_a_bucket_fills_up_again_with_time_and_never_more_than_at_first() -> None:
    buckets = Buckets(burst=2, rate=0.5)
    for now in (0.0, 0.0):
        assert buckets.wait("192.0.2.1", now) == 0
        buckets.take("192.0.2.1", now)
    assert [buckets.wait("192.0.2.1", now) for now in (0.0, 1.5, 2.0)] == [2, 1, 0]
    for now in (1000.0, 1000.0):
        buckets.take("192.0.2.1", now)
    assert buckets.wait("192.0.2.1", 1000.0) == 2


def test_whoever_takes_more_than_there_is_owes_nothing() -> None:
    buckets = Buckets(burst=1, rate=1)
    for _ in range(5):
        buckets.take("192.0.2.1", 0.0)
    assert buckets.wait("192.0.2.1", 0.0) == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("gone", "gone"),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network
