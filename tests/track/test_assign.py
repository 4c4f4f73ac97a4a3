from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from faceanond.frames import Face
from faceanond.track.assign import NEAR, pairs, same
from faceanond.track.track import Track
from tests.track.film import around, face

PLACES = st.tuples(st.floats(0, 400), st.floats(0, 400), st.floats(12, 120))


def track(number: int, x: float, y: float, side: float = 40.0) -> Track:
    return Track.begun(number, face(x, y, side), 0.0)


def numbers(found: list[tuple[Track, Face]]) -> list[tuple[int, float]]:
    return sorted((one.number, face.box.centre[0]) for one, face in found)


@given(tracks=st.lists(PLACES, max_size=8), faces=st.lists(PLACES, max_size=8))
def test_no_face_has_two_tracks_and_no_track_two_faces(
    tracks: list[tuple[float, float, float]], faces: list[tuple[float, float, float]]
) -> None:
    found = pairs([track(i, *place) for i, place in enumerate(tracks)], [face(*place) for place in faces])
    assert len({one.number for one, _ in found}) == len(found)
    assert len({id(face) for _, face in found}) == len(found)


@given(one=PLACES, other=PLACES, lost=st.floats(0, 30))
def test_nothing_farther_than_the_gate_is_taken_however_long_the_face_was_lost(
    one: tuple[float, float, float], other: tuple[float, float, float], lost: float
) -> None:
    known = track(1, *one)
    known.now += lost
    away = math.dist(one[:2], other[:2]) / ((one[2] + other[2]) / 2)
    if pairs([known], [face(*other)]):
        assert away <= 2 * NEAR + 1e-9
        assert lost > 0 or away <= NEAR + 1e-9


def test_the_nearest_belong_together() -> None:
    tracks = [track(1, 100, 100), track(2, 120, 100)]
    assert numbers(pairs(tracks, [face(117, 100), face(99, 100)])) == [(1, 99.0), (2, 117.0)]


def test_a_face_takes_the_track_that_is_left_when_the_nearest_has_another() -> None:
    tracks = [track(1, 100, 100), track(2, 120, 100)]
    assert numbers(pairs(tracks, [face(118, 100), face(112, 100)])) == [(1, 112.0), (2, 118.0)]


def test_a_face_of_quite_another_size_is_another_face() -> None:
    assert pairs([track(1, 100, 100)], [face(100, 100, 100)]) == []
    assert pairs([track(1, 100, 100)], [face(100, 100, 15)]) == []
    assert len(pairs([track(1, 100, 100)], [face(100, 100, 60)])) == 1


def test_a_box_within_another_is_the_same_face() -> None:
    assert same(around(100, 100, 80), around(110, 110, 20))
    assert not same(around(100, 100), around(139, 100))
