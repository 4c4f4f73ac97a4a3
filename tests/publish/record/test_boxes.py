from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish.record.boxes import Whole, whole
from tests.publish.record.reel import fake, pieces

HEAD, FRAGMENTS = pieces(fake(100, size=50))
FILE = HEAD + b"".join(FRAGMENTS)
ENDS = [len(HEAD) + sum(map(len, FRAGMENTS[:count])) for count in range(5)]
"""Where the head ends, then each fragment."""


def measured(data: bytes) -> Whole:
    return whole(lambda length, place: data[place : place + length], len(data))


def test_a_whole_file_is_whole_and_as_long_as_its_pictures() -> None:
    assert measured(FILE) == Whole(len(FILE), 4.0, 4)


def test_cut_anywhere_it_is_whole_up_to_the_last_fragment_before() -> None:
    for cut in range(len(FILE)):
        count = sum(end <= cut for end in ENDS[1:])
        assert measured(FILE[:cut]) == Whole(ENDS[count] if count else 0, float(count), count)


@pytest.mark.parametrize("tail", [bytes(4096), b"\xff" * 4096, b"\0\0\0\x08free" * 9, HEAD])
def test_what_a_power_cut_leaves_behind_the_last_fragment_does_not_count(tail: bytes) -> None:
    assert measured(FILE + tail) == Whole(len(FILE), 4.0, 4)


@pytest.mark.parametrize("lost", [1, 2])
def test_fragments_whose_pictures_never_reached_the_disk_do_not_count(lost: int) -> None:
    kept = FILE[: ENDS[4 - lost]] + b"".join(one[:-500] + bytes(500) for one in FRAGMENTS[4 - lost :])
    assert measured(kept) == Whole(ENDS[4 - lost], 4.0 - lost, 4 - lost)


@pytest.mark.parametrize("data", [b"", b"\0", FRAGMENTS[0], HEAD, HEAD[:-1] + FRAGMENTS[0], b"RIFF" * 1000])
def test_what_is_no_recording_has_nothing_whole(data: bytes) -> None:
    assert measured(data).size == 0


def test_a_header_that_claims_to_be_huge_is_not_read() -> None:
    asked: list[int] = []
    huge = HEAD + (2**31).to_bytes(4, "big") + b"moof"

    def read(length: int, place: int) -> bytes:
        asked.append(length)
        return huge[place : place + length]

    assert whole(read, 2**40) == Whole(0, 0.0, 0)
    assert max(asked) < 10_000


@given(st.binary(max_size=300), st.integers(0, len(FILE)))
def test_any_bytes_are_looked_at_without_an_error(data: bytes, place: int) -> None:
    found = measured(FILE[:place] + data + FILE[place + len(data) :])
    assert 0 <= found.size <= len(FILE) + len(data)
    measured(data)


def test_bits_that_fell_over_are_looked_at_without_an_error() -> None:
    dice = random.Random(5)
    for _ in range(2000):
        damaged = bytearray(FILE)
        for _ in range(dice.randrange(1, 8)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        assert measured(bytes(damaged)).size <= len(FILE)
