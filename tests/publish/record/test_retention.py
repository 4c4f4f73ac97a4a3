from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faceanond.observe.catalogue import RECORD_DELETED
from faceanond.publish.record.index import Index, Segment
from faceanond.publish.record.names import Name
from faceanond.publish.record.retention import REASONS, due

HOUR = 3_600_000


def filled(*segments: tuple[str, int, int]) -> Index:
    index = Index()
    for camera, start, size in segments:
        index.add(Segment(Name(camera, start), start + HOUR, size))
    return index


def gone(
    index: Index, now: int, *, keep: float = 0.0, max_size: int = 10**9, lacking: int = 0
) -> list[tuple[str, int, str]]:
    found = due(index, now, lambda _: keep, max_size=max_size, lacking=lacking)
    return [(one.segment.camera, one.segment.start, one.reason) for one in found]


def test_what_began_too_long_ago_goes_so_that_nothing_in_it_is_older() -> None:
    index = filled(("yard", 0, 1), ("yard", HOUR, 1), ("yard", 2 * HOUR, 1))
    assert gone(index, 3 * HOUR, keep=7200) == [("yard", 0, "age"), ("yard", HOUR, "age")]
    assert gone(index, 3 * HOUR - 1, keep=7200) == [("yard", 0, "age")]
    assert gone(index, 10**15, keep=0) == []


def test_each_camera_has_its_own_age() -> None:
    index = filled(("yard", 0, 1), ("gate", 0, 1))
    found = due(index, HOUR, {"yard": 60.0, "gate": 86_400.0}.__getitem__, max_size=100, lacking=0)
    assert [one.segment.camera for one in found] == ["yard"]


def test_when_all_together_are_too_large_the_oldest_goes_whatever_camera_it_is_of() -> None:
    index = filled(("yard", 2, 40), ("gate", 1, 40), ("yard", 3, 40))
    assert gone(index, 10, max_size=100) == [("gate", 1, "size")]
    assert gone(index, 10, max_size=79) == [("gate", 1, "size"), ("yard", 2, "size")]
    assert gone(index, 10, max_size=120) == []


def test_when_the_disk_lacks_space_so_much_goes_and_no_more() -> None:
    index = filled(("yard", 1, 40), ("yard", 2, 40), ("yard", 3, 40))
    assert gone(index, 10, lacking=41) == [("yard", 1, "space"), ("yard", 2, "space")]
    assert gone(index, 10, lacking=-5) == []
    assert len(gone(index, 10, lacking=10**12)) == 3


def test_what_goes_by_age_counts_for_size_and_space() -> None:
    index = filled(("yard", 0, 40), ("yard", HOUR, 40))
    assert gone(index, HOUR, keep=3600, max_size=40, lacking=40) == [("yard", 0, "age")]


def test_what_is_being_written_never_goes() -> None:
    index = filled(("yard", 0, 40))
    index.grow(Segment(Name("yard", 1), 2, 10**12, complete=False))
    assert gone(index, 10**14, keep=1, max_size=1, lacking=10**12) == [("yard", 0, "age")]


ONE = st.tuples(st.sampled_from(["yard", "gate"]), st.integers(0, 99), st.integers(1, 50))


@given(st.lists(ONE, max_size=20, unique_by=lambda one: one[:2]), st.integers(0, 600), st.integers(0, 600))
def test_enough_goes_and_nothing_in_vain(segments: list[tuple[str, int, int]], max_size: int, lacking: int) -> None:
    index = filled(*segments)
    found = [one.segment for one in due(index, 100, lambda _: 0.0, max_size=max_size, lacking=lacking)]
    freed = sum(one.size for one in found)
    total = index.size
    assert total - freed <= max_size
    assert freed >= min(lacking, total)
    wanted = max(total - max_size, lacking)
    assert not found or freed - found[-1].size < wanted
    assert [one.start for one in found] == sorted(one.start for one in found)


def test_the_reasons_are_those_that_metrics_know() -> None:
    assert REASONS == RECORD_DELETED
