from __future__ import annotations

import pytest

from faceanond.evaluate.tally import Leak, Tally, seen_clearly, size_class
from faceanond.evaluate.truth import Visibility
from tests.evaluate.labels import face


def everything(one: object) -> bool:
    return True


def spans(tally: Tally) -> list[tuple[int, int, int]]:
    return [(leak.track, leak.first, leak.last) for leak in tally.leaks()]


@pytest.mark.parametrize(
    ("side", "name"),
    [
        (1, "under 20"),
        (19.9, "under 20"),
        (20, "20-40"),
        (39.9, "20-40"),
        (40, "40-80"),
        (79.9, "40-80"),
        (80, "over 80"),
    ],
)
def test_a_class_begins_with_its_smaller_limit(side: float, name: str) -> None:
    assert str(size_class(side)) == name


@pytest.mark.parametrize(("side", "hard", "counts"), [(20, False, True), (19.9, False, False), (90, True, False)])
def test_clear_faces_from_20_pixels_on_must_not_leak(side: float, hard: bool, counts: bool) -> None:
    assert seen_clearly(face(side=side, hard=hard)) is counts


def test_the_longest_leak_ends_with_a_covered_frame() -> None:
    tally = Tally([face(frame, covered=float(frame == 4)) for frame in range(10)])
    assert tally.row(everything).leaked == 9
    assert tally.row(everything).longest == 5
    assert spans(tally) == [(0, 5, 9), (0, 0, 3)]


def test_the_longest_leak_ends_where_the_face_is_gone() -> None:
    tally = Tally([face(frame) for frame in (0, 1, 2, 5, 6)])
    assert tally.row(everything).longest == 3
    assert spans(tally) == [(0, 0, 2), (0, 5, 6)]


def test_tracks_do_not_continue_each_other() -> None:
    tally = Tally([face(0, track=1), face(1, track=1), face(2, track=2), face(3, track=2)])
    assert tally.row(everything).longest == 2


def test_the_order_of_the_labels_does_not_matter() -> None:
    faces = [face(frame, track=track) for track in (0, 1) for frame in range(3)]
    assert spans(Tally(faces[::-1])) == spans(Tally(faces))


def test_a_leak_goes_on_while_the_face_is_hard_to_see_and_counts_the_clear_frames() -> None:
    faces = [face(frame, hard=frame in (2, 3)) for frame in range(6)]
    tally = Tally(faces)
    assert spans(tally) == [(0, 0, 5)]
    assert tally.leaks()[0].clear == 4
    assert tally.row(lambda one: one.label.visibility is Visibility.CLEAR).longest == 4
    assert tally.row(lambda one: one.label.visibility is Visibility.HARD).longest == 2


def test_a_leak_goes_on_when_the_face_passes_into_another_size() -> None:
    tally = Tally([face(frame, side=36 + 2 * frame) for frame in range(5)])
    assert tally.row(everything).longest == 5
    assert tally.row(lambda one: one.label.side < 40).longest == 2
    assert str(tally.leaks()[0].size) == "40-80"


def test_the_leak_with_the_most_clear_frames_is_the_worst() -> None:
    faces = [face(frame, track=1, hard=True) for frame in range(9)]
    faces += [face(frame, track=2) for frame in range(2)]
    assert [leak.track for leak in Tally(faces).leaks()] == [2, 1]


def test_a_face_in_a_concealed_picture_counts_as_covered_and_its_area_is_left_out() -> None:
    tally = Tally([face(0, side=10, covered=1.0, concealed=True), face(1, side=10, covered=1.0, spilt=25)])
    row = tally.row(everything)
    assert (row.face_frames, row.concealed, row.leaked) == (2, 1, 0)
    assert row.over == pytest.approx(0.25)
    assert tally.face_area == 100


def test_without_faces_there_are_no_shares() -> None:
    tally = Tally()
    row = tally.row(everything)
    assert (row.share, row.over, row.longest) == (None, None, 0)
    assert (tally.masked_to_faces, tally.over_masking, tally.picture_share) == (None, None, 0.0)


def test_a_leak_tells_its_frames() -> None:
    leak = Leak([face(3, track=9, side=15), face(4, track=9, side=25)])
    assert (leak.track, leak.first, leak.last, leak.clear, str(leak.size)) == (9, 3, 4, 2, "20-40")
