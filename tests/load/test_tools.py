"""The instruments, on what they are to measure: made-up packets, histograms and pictures."""

from __future__ import annotations

import struct

import pytest

from tests.load.clock_camera import BITS, CHECK, blocks
from tests.load.counting import Arrivals
from tests.load.figures import Figure, quantile, slope, table
from tests.load.servers import Metrics


def packet(sequence: int, payload: bytes, *, marker: bool = False, extension: bytes = b"") -> bytes:
    head = struct.pack("!BBHII", 0x90 if extension else 0x80, 96 | 0x80 * marker, sequence, 1, 2)
    return head + extension + payload


def test_a_gap_is_counted_and_the_wrap_is_none() -> None:
    arrivals = Arrivals()
    for sequence in (65533, 65534, 0, 1, 4):
        arrivals.packet(packet(sequence & 0xFFFF, b"\x41", marker=True))
    assert arrivals.lost == 1 + 2
    assert (arrivals.packets, arrivals.pictures) == (5, 5)


@pytest.mark.parametrize(
    "head", [[b"\x67\x42"], [b"\x18\x00\x02\x67\x42"]], ids=["parameter sets alone", "parameter sets together"]
)
def test_the_first_picture_is_a_keyframe_with_all_its_packets(head: list[bytes]) -> None:
    arrivals = Arrivals()
    for number, payload in enumerate([*head, b"\x7c\x85", b"\x7c\x05"]):
        arrivals.packet(packet(number, payload, extension=b"\xbe\xde\x00\x01\x10\x30\x00\x00"))
    assert arrivals.first_picture is None
    arrivals.packet(packet(len(head) + 2, b"\x7c\x45", marker=True))
    assert arrivals.first_picture is not None


def test_a_keyframe_with_a_hole_is_no_picture() -> None:
    arrivals = Arrivals()
    arrivals.packet(packet(1, b"\x67\x42"))
    arrivals.packet(packet(3, b"\x65", marker=True))
    assert arrivals.first_picture is None


def test_a_histogram_is_read_between_two_scrapes() -> None:
    name = "faceanond_event_loop_lag_seconds"
    text = (
        f'{name}_bucket{{le="0.01"}} %d\n{name}_bucket{{le="0.05"}} %d\n{name}_bucket{{le="+Inf"}} %d\n{name}_sum %f\n'
    )
    before, after = Metrics(text % (10, 10, 10, 0.05)), Metrics(text % (60, 110, 110, 2.05))
    lag = after.histogram("event_loop_lag_seconds").since(before.histogram("event_loop_lag_seconds"))
    assert lag.count == 100
    assert lag.mean == pytest.approx(0.02)
    assert lag.quantile(0.25) == pytest.approx(0.005)
    assert lag.quantile(0.75) == pytest.approx(0.03)
    assert lag.quantile(1.0) == pytest.approx(0.05)


def test_samples_are_summed_over_the_labels_that_are_not_asked_for() -> None:
    scraped = Metrics(
        'faceanond_viewers{camera="a",protocol="rtsp"} 2.0\nfaceanond_viewers{camera="a",protocol="webrtc"} 3.0\n'
    )
    assert scraped.value("viewers") == 5
    assert scraped.value("viewers", 'protocol="webrtc"') == 3


def test_the_price_of_a_viewer_is_the_slope() -> None:
    assert slope([(0, 50.0), (5, 55.0), (50, 100.0), (0, 50.0)]) == pytest.approx(1.0)


def test_quantiles_are_of_the_values_themselves() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([], 0.5) == float("inf")


def test_a_figure_above_its_target_is_missed() -> None:
    text = table([Figure("a", "good", 1.0, "ms", 2.0), Figure("a", "bad", 3.0, "ms", 2.0), Figure("a", "other", 9.0)])
    assert [line.split("|")[-2].strip() for line in text.splitlines()[2:]] == ["met", "MISSED", ""]


def test_a_clock_that_is_read_wrong_in_one_block_is_noticed() -> None:
    row = blocks(123_456_789)
    assert len(row) == BITS + CHECK
    assert int("".join(map(str, row[:BITS])), 2) == 123_456_789 % (1 << BITS)
    for place in range(len(row)):
        wrong = row.copy()
        wrong[place] ^= 1
        assert sum(wrong[:BITS]) != int("".join(map(str, wrong[BITS:])), 2)
