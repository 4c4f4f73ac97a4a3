from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish.record.index import Index, Segment
from faceanond.publish.record.names import Name


def segment(start: int, end: int, *, camera: str = "yard", size: int = 100, complete: bool = True) -> Segment:
    return Segment(Name(camera, start), end, size, complete=complete)


def index(*segments: Segment) -> Index:
    made = Index()
    for one in segments:
        made.add(one)
    return made


def starts(found: Sequence[Segment]) -> list[int]:
    return [one.start for one in found]


def test_segments_come_in_the_order_of_time_however_they_were_added() -> None:
    made = index(segment(20, 30), segment(0, 10), segment(10, 20))
    assert starts(list(made.finished("yard"))) == [0, 10, 20]


def test_what_overlaps_a_time_is_found_at_both_its_ends() -> None:
    made = index(segment(0, 10), segment(10, 20), segment(20, 30), segment(30, 40))
    assert starts(made.between("yard", 15, 30, most=9)) == [10, 20]
    assert starts(made.between("yard", 10, 11, most=9)) == [10]
    assert made.between("yard", 40, 99, most=9) == []
    assert made.between("gate", 0, 99, most=9) == []


def test_an_answer_is_bounded_and_the_next_one_begins_behind_it() -> None:
    made = index(*(segment(place, place + 10) for place in range(0, 100, 10)))
    first = made.between("yard", 0, 100, most=4)
    second = made.between("yard", 0, 100, most=4, after=first[-1].start)
    third = made.between("yard", 0, 100, most=4, after=second[-1].start)
    assert starts([*first, *second, *third]) == list(range(0, 100, 10))


def test_the_current_segment_comes_last_and_is_never_finished() -> None:
    made = index(segment(0, 10))
    made.grow(segment(10, 12, size=7, complete=False))
    made.grow(segment(10, 14, size=9, complete=False))
    assert [(one.start, one.complete) for one in made.between("yard", 0, 99, most=9)] == [(0, True), (10, False)]
    assert starts(made.between("yard", 0, 99, most=1)) == [0]
    assert starts(list(made.by_age())) == [0]
    assert (made.size, made.count("yard"), made.bytes_of("yard")) == (109, 2, 109)
    assert made.get(Name("yard", 10)) is not None
    made.close("yard")
    assert made.get(Name("yard", 10)) is None
    assert made.size == 100


def test_the_oldest_of_all_cameras_is_the_first() -> None:
    made = index(segment(5, 10), segment(0, 5, camera="gate"), segment(10, 15, camera="gate"))
    assert [(one.camera, one.start) for one in made.by_age()] == [("gate", 0), ("yard", 5), ("gate", 10)]
    oldest = made.oldest("gate")
    assert oldest is not None
    assert oldest.start == 0
    assert made.oldest("attic") is None


def test_what_is_discarded_is_gone_and_a_stranger_is_no_mistake() -> None:
    made = index(segment(0, 10), segment(10, 20, size=50))
    made.discard(Name("yard", 0))
    made.discard(Name("yard", 5))
    made.discard(Name("gate", 0))
    assert (made.size, made.count("yard")) == (50, 1)
    made.discard(Name("yard", 10))
    assert (made.size, list(made.cameras())) == (0, [])


def test_the_same_segment_twice_counts_once() -> None:
    made = index(segment(0, 10, size=5), segment(0, 10, size=8))
    assert (made.size, made.count("yard")) == (8, 1)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=12), st.integers(0, 60), st.integers(0, 60))
def test_a_search_finds_what_a_walk_finds(spans: list[tuple[int, int]], start: int, end: int) -> None:
    """Recordings of one camera follow each other; a clock that was set back may make two overlap a little."""
    made = index(*(segment(10 * place, 10 * place + 10 + length) for place, length in spans))
    expected = [one.start for one in made.finished("yard") if one.start < end and one.end > start]
    assert starts(made.between("yard", start, end, most=99)) == expected


def test_the_newest_are_found_first_and_the_next_answer_goes_on_in_front_of_them() -> None:
    made = index(*(segment(place, place + 10) for place in range(0, 90, 10)))
    made.grow(segment(90, 95, complete=False))
    first = made.latest("yard", 0, 100, most=4)
    second = made.latest("yard", 0, first[-1].start, most=4)
    third = made.latest("yard", 0, second[-1].start, most=4)
    assert starts([*first, *second, *third]) == list(range(90, -1, -10))
    assert starts(made.latest("yard", 15, 30, most=9)) == [20, 10]
    assert starts(made.latest("yard", 0, 100, most=1)) == [90]
    assert made.latest("yard", 95, 100, most=9) == []
    assert made.latest("gate", 0, 99, most=9) == []
