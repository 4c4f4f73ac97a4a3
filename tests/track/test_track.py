from __future__ import annotations

import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.frames import Box
from faceanond.track.track import MOST_BELIEF, MOST_GROWN, Track, evidence
from tests.track.film import SIZE, around, contains, face, hint

SPEEDS = st.floats(-900, 900)
STEP = 0.04


@given(vx=SPEEDS, vy=SPEEDS, side=st.floats(12, 300), steps=st.lists(st.floats(0.001, 0.9), min_size=1, max_size=40))
def test_what_covers_a_lost_face_grows_to_a_limit_around_where_it_should_be(
    vx: float, vy: float, side: float, steps: list[float]
) -> None:
    track = Track.begun(1, face(300, 200, side), 0.0)
    track.vx, track.vy = vx, vy
    for step in steps:
        track.predict(track.now + step, 0.0, 0.0, SIZE)
        reach = track.reach()
        assert contains(reach, track.box)
        assert contains(track.box.grown(MOST_GROWN), reach)


def test_a_face_that_stood_still_needs_more_cover_the_longer_it_is_lost() -> None:
    track = Track.begun(1, face(300, 200), 0.0)
    widths = []
    for step in range(1, 10):
        track.predict(step * STEP, 0.0, 0.0, SIZE)
        widths.append(track.reach().width)
    assert widths == sorted(set(widths))


def test_a_seen_face_is_covered_as_it_was_seen() -> None:
    track = Track.begun(1, face(300, 200), 0.0)
    assert track.reach() == around(300, 200)


def test_two_finds_tell_the_velocity() -> None:
    track = Track.begun(1, face(300, 200), 0.0)
    track.predict(STEP, 0.0, 0.0, SIZE)
    track.correct(face(308, 196), STEP)
    assert (track.vx, track.vy) == pytest.approx((8 / STEP, -4 / STEP))


def test_a_hint_moves_a_track_less_than_a_face() -> None:
    moved = []
    for seen in (face(320, 200), hint(320, 200)):
        track = Track.begun(1, face(300, 200), 0.0)
        track.predict(STEP, 0.0, 0.0, SIZE)
        track.correct(seen, STEP)
        moved.append(track.x)
    assert 300 < moved[1] < moved[0] <= 320


def test_the_pictures_own_movement_moves_every_track() -> None:
    track = Track.begun(1, face(300, 200), 0.0)
    track.predict(STEP, -7.0, 3.0, SIZE)
    assert track.box == around(293, 203)


def test_a_lost_face_is_believed_to_slow_down_unless_it_is_on_its_way_out() -> None:
    speeds = []
    for x in (300.0, 5.0):
        track = Track.begun(1, face(x, 200), 0.0)
        track.vx = -100.0
        for step in range(1, 6):
            track.predict(step * STEP, 0.0, 0.0, SIZE)
        speeds.append(track.vx)
    assert -100 < speeds[0] < 0
    assert speeds[1] == -100


def test_belief_has_a_limit_so_that_a_long_life_costs_no_more_than_a_short_one() -> None:
    track = Track.begun(1, face(300, 200), 0.0)
    for _ in range(100):
        track.weigh(face(300, 200), STEP, 1.0)
    assert track.belief == MOST_BELIEF


@given(score=st.floats(0, 1), other=st.floats(0, 1), guided=st.booleans())
def test_a_higher_score_never_says_less(score: float, other: float, guided: bool) -> None:
    low, high = (
        evidence(dataclasses.replace(face(0, 0), score=value, guided=guided)) for value in sorted((score, other))
    )
    assert evidence(None) <= low <= high


def test_a_track_knows_numbers_only() -> None:
    """No identity is computed: nothing of the picture is kept, nothing that could be compared with another face."""
    track = Track.begun(1, face(300, 200), 0.0)
    assert {type(getattr(track, field.name)) for field in dataclasses.fields(track)} <= {int, float, bool, Box}
    assert len(pickle.dumps(track)) < 1000
