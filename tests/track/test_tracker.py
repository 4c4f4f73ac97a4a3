from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceanond.frames import Box, Detections, Expected, Face
from faceanond.track.assign import NEAR
from faceanond.track.track import CONVINCING, MOST_GROWN, evidence
from faceanond.track.tracker import AFTER_CUT, ENOUGH, EXPECTED_HINT, HINT, HINTS_LAST, Tracker
from tests.track.film import (
    FPS,
    SIDE,
    SIZE,
    Answering,
    Film,
    around,
    contains,
    covers,
    face,
    frame_of,
    hint,
    nothing,
    picture,
)

STEP = 1 / FPS
HOLD = 1.0


def numbers(faces: tuple[Face, ...]) -> set[int | None]:
    return {one.track for one in faces}


def clinging(score: float, *, sure: bool, change: Callable[[Box], Box] = lambda box: box) -> Answering:
    """A detector that finds whatever it is told, changed a little."""
    return lambda expected: [
        Face(change(one.box), score, sure=sure, guided=True, turn=one.turn, track=one.track) for one in expected
    ]


# Association


def test_a_face_keeps_its_number_while_it_stays() -> None:
    film = Film()
    for _ in range(20):
        (covered,) = film.show(face(300, 200))
        assert (covered.track, covered.coasted) == (1, False)


def test_what_is_found_is_covered_where_it_was_found_and_not_where_a_track_thinks() -> None:
    film = Film()
    film.establish(face(300, 200))
    (covered,) = film.show(face(310, 190, 50))
    assert covered.box == around(310, 190, 50)


def test_a_fast_face_keeps_its_number() -> None:
    """Faster in every frame than the gate of a face that stands: the velocity is learnt."""
    film = Film()
    place, step = 40.0, 0.0
    while place < SIZE[0] - SIDE:
        assert numbers(film.show(face(place, 200))) == {1}
        step = min(step + 0.5 * NEAR * SIDE, 1.5 * NEAR * SIDE)
        place += step


def test_a_face_that_comes_nearer_keeps_its_number() -> None:
    film = Film()
    side = 30.0
    while side < 200:
        assert numbers(film.show(face(300, 180, side))) == {1}
        side *= 1.12


def test_the_velocity_is_known_after_two_finds() -> None:
    film = Film()
    film.show(face(300, 200))
    film.show(face(310, 195))
    film.show()
    (expected,) = film.expected
    assert expected.box.centre == pytest.approx((320, 190), abs=4)


def test_two_people_who_cross_stay_covered_and_apart() -> None:
    """One passes behind the other, and is not found meanwhile."""
    film = Film()
    for frame in range(41):
        x = 220.0 + 5 * frame
        front, back = (x, 200.0), (640.0 - x, 190.0)
        hidden = abs(front[0] - back[0]) < 0.7 * SIDE
        covered = film.show(face(*front), *([] if hidden else [face(*back)]))
        assert covers(covered, *front)
        assert covers(covered, *back)
        assert len(numbers(covered)) == len(covered)
        if frame == 0:
            (first,) = (one.track for one in covered if covers([one], *front))
    assert [one.track for one in covered if covers([one], *front)] == [first]


def test_people_who_pass_each_other_at_a_distance_keep_their_numbers() -> None:
    film = Film()
    for frame in range(41):
        x = 220.0 + 5 * frame
        covered = film.show(face(x, 200), face(640 - x, 200 + 1.2 * SIDE))
        assert len(covered) == 2
    by_number = {one.track: one.box.centre for one in covered}
    assert by_number[1][0] > by_number[2][0]


def test_a_face_beyond_the_gate_is_another_one() -> None:
    film = Film()
    film.establish(face(100, 200))
    covered = film.show(face(100 + 2.1 * NEAR * SIDE, 200))
    assert [(one.track, one.coasted) for one in covered] == [(2, False), (1, True)]


BOXES = st.tuples(st.floats(0, 640), st.floats(0, 360), st.floats(12, 200), st.floats(0.05, 1.0), st.booleans())


@settings(max_examples=60, deadline=None)
@given(film=st.lists(st.lists(BOXES, max_size=5), max_size=12), told=st.booleans())
def test_whatever_the_detector_says_sure_faces_are_covered_and_numbers_are_unique(
    film: list[list[tuple[float, float, float, float, bool]]], told: bool
) -> None:
    shown = Film()
    seen: set[int] = set()
    gone: set[int] = set()
    for boxes in film:
        found = [Face(around(x, y, side), score, sure=sure) for x, y, side, score, sure in boxes]

        def answer(expected: tuple[Expected, ...], found: list[Face] = found) -> list[Face]:
            return found + (list(clinging(0.4, sure=False)(expected)) if told else [])

        tracked = shown.ask(answer)
        covered = tracked.detections.faces
        assert tracked.detections.frame == shown.frame.id
        with_number = [one.track for one in covered if one.track is not None and not one.coasted]
        assert len(set(with_number)) == len(with_number)
        for one in found:
            if one.sure:
                assert any(contains(other.box, one.box) for other in covered), "tracks take nothing away"
        assert all(one.box.finite for one in covered)
        alive = {one.track for one in covered if one.track is not None}
        assert not gone & alive, "numbers are never used again"
        gone |= seen - alive
        seen |= alive


@pytest.mark.parametrize("score", [0.05, 0.35, 0.6])
def test_a_sure_face_is_covered_in_every_frame_however_low_the_thresholds_are(score: float) -> None:
    film = Film()
    for _ in range(250):
        assert covers(film.show(face(300, 200, score=score)), 300, 200)


# A face that is lost


def test_a_lost_face_stays_covered_in_a_region_that_grows_to_a_limit() -> None:
    film = Film(hold=HOLD)
    for frame in range(20):
        film.show(face(200 + 4 * frame, 200))
    widths = []
    for _ in range(20):
        (covered,) = film.show()
        assert covered.coasted
        assert contains(covered.box, film.expected[0].box), "the predicted place is covered whole"
        assert covered.box.width <= SIDE * (1 + 2 * MOST_GROWN) + 1e-6
        widths.append(covered.box.width)
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_a_face_that_walks_on_unseen_for_a_quarter_of_a_second_is_covered_all_the_way() -> None:
    film = Film()
    for frame in range(36):
        x = 150.0 + 6 * frame
        covered = film.show(*([] if 20 <= frame < 26 else [face(x, 200)]))
        assert covers(covered, x, 200)
        assert numbers(covered) == {1}


def test_a_face_that_is_lost_for_good_is_covered_for_hold_and_no_longer() -> None:
    for hold in (0.2, 1.0, 3.0):
        film = Film(hold=hold)
        film.establish(face(300, 200), frames=20)
        life, _ = film.life(nothing, 2 * hold)
        assert 0.8 * hold - STEP <= life <= hold + STEP


def test_a_face_that_was_found_once_is_covered_for_a_shorter_time() -> None:
    """Once may have been a mistake."""
    once, often = Film(), Film()
    once.show(face(300, 200))
    often.establish(face(300, 200), frames=20)
    assert STEP < once.life(nothing, HOLD + 1)[0] < often.life(nothing, HOLD + 1)[0]


def test_a_face_that_comes_back_in_time_is_the_same() -> None:
    film = Film(hold=HOLD)
    film.establish(face(300, 200))
    film.establish(frames=15)
    assert numbers(film.show(face(305, 200))) == {1}


def test_a_face_that_has_left_through_the_edge_is_not_waited_for() -> None:
    film = Film(hold=10.0)
    for frame in range(18):
        film.show(face(SIZE[0] - 200 + 10 * frame, 200))
    life, covered = film.life(nothing, 10.0)
    assert life < 0.5
    assert covered[0].box.x2 > SIZE[0], "half of it was still there"


def test_a_lost_face_is_not_waited_for_where_another_ones_track_has_a_face() -> None:
    film = Film(hold=10.0)
    for frame in range(40):
        x = min(100.0 + 5 * frame, 256.0)
        covered = film.show(face(x, 200), *([face(260, 204)] if frame < 15 else []))
        assert covers(covered, 260, 204)
    assert numbers(covered) == {1}


def test_a_face_that_somebody_walks_past_is_covered_until_it_is_found_again() -> None:
    """It is not found while the other one is near, and for a moment more; all of that is less than `hold`."""
    film = Film(hold=2.0)
    standing = (320.0, 196.0)
    for frame in range(61):
        x = 20.0 + 10 * frame
        covered = film.show(face(x, 200), *([] if -SIDE < x - standing[0] < 3 * SIDE else [face(*standing)]))
        assert covers(covered, *standing)


# What the detector is not sure of


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("score", [HINT, 0.5, 0.69])
def test_hints_alone_never_keep_a_track_for_longer_than_a_limit(score: float, guided: bool) -> None:
    def hints(expected: tuple[Expected, ...]) -> list[Face]:
        return list(clinging(score, sure=False)(expected)) if guided else [hint(300, 200, score=score)]

    film = Film(hold=HOLD)
    film.establish(face(300, 200), frames=30)
    life, _ = film.life(hints, 10 * HINTS_LAST * HOLD)
    assert HOLD < life <= HINTS_LAST * HOLD + STEP


def test_hints_too_weak_to_count_are_nothing() -> None:
    weak, blind = Film(), Film()
    lives = []
    for film, answer in ((weak, clinging(0.99 * EXPECTED_HINT, sure=False)), (blind, nothing)):
        film.establish(face(300, 200), frames=20)
        lives.append(film.life(answer, 5.0)[0])
    assert lives[0] == lives[1]


@pytest.mark.parametrize("score", [0.05, HINT, 0.5, 0.65])
def test_a_hint_that_leads_to_nothing_is_never_covered(score: float) -> None:
    film = Film()
    for _ in range(250):
        assert film.show(hint(300, 200, score=score)) == ()
        assert film.expected == (), "and nobody looks for it"


def test_a_guided_find_is_covered_when_enough_of_them_agree() -> None:
    found = dataclasses.replace(face(300, 200, score=0.92), guided=True)
    film, believed = Film(), 0.0
    for _ in range(10):
        covered = film.show(found)
        believed += evidence(found)
        assert bool(covered) == (believed >= ENOUGH)
    assert numbers(covered) == {1}


def test_a_hint_keeps_a_known_face_found() -> None:
    film = Film()
    film.establish(face(300, 200))
    (covered,) = film.show(hint(304, 200))
    assert (covered.track, covered.coasted, covered.box) == (1, False, around(304, 200))


def test_where_a_face_was_expected_is_covered_beside_a_hint_that_does_not_hold_it() -> None:
    film = Film()
    film.establish(face(300, 200))
    found, expected = film.show(Face(around(300 + SIDE / 4, 200, SIDE / 2), 0.5, sure=False))
    assert (found.track, found.coasted) == (1, False)
    assert (expected.track, expected.coasted) == (1, True)
    assert expected.box.width > 0.8 * SIDE


@pytest.mark.parametrize("ratio", [0.5, 2.0])
@pytest.mark.parametrize("sure", [True, False])
def test_a_guided_find_of_another_size_is_not_the_face(ratio: float, sure: bool) -> None:
    film = Film()
    film.establish(face(300, 200))

    def another(expected: tuple[Expected, ...]) -> list[Face]:
        return [Face(around(300, 200, ratio * SIDE), 0.9, sure=sure, guided=True, track=expected[0].track)]

    (covered,) = film.ask(another).detections.faces
    assert covered.coasted
    assert covered.box.width < 1.1 * SIDE


def test_a_guided_find_for_a_track_that_does_not_exist_is_nothing() -> None:
    film = Film()
    assert film.show(Face(around(300, 200), 0.95, guided=True, track=77)) == ()
    film.establish(face(300, 200))
    covered = film.show(face(300, 200), Face(around(100, 100), 0.95, guided=True, track=77))
    assert numbers(covered) == {1}


# No search follows itself for ever

DRIFTS: dict[str, Callable[[Box], Box]] = {
    "stays": lambda box: box,
    "5 % larger": lambda box: box.grown(0.025),
    "5 % smaller": lambda box: box.grown(-0.025),
    "10 % to the right": lambda box: box.moved(0.1 * box.width, 0.0),
    "10 % down": lambda box: box.moved(0.0, 0.1 * box.height),
}
LARGEST = 1.5 * (1 + 2 * MOST_GROWN) * SIDE
"""Pixels that a cover may be wide: the largest guided find that is still the face, grown while nothing is found."""


@pytest.mark.parametrize("finds", [1, 3, 30])
@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS.keys())
@pytest.mark.parametrize("score", [EXPECTED_HINT, HINT, 0.69])
def test_a_detector_that_always_half_believes_what_it_is_told_neither_drifts_nor_goes_on_for_ever(
    score: float, drift: Callable[[Box], Box], finds: int
) -> None:
    film = Film(hold=HOLD)
    film.establish(face(100, 100), frames=finds)
    life, covered = film.life(clinging(score, sure=False, change=drift), 10 * HINTS_LAST * HOLD)
    assert life <= HINTS_LAST * HOLD + STEP
    assert max(one.box.width for one in covered) <= LARGEST
    assert min(one.box.width for one in covered) >= SIDE / 1.5 - 1e-6
    assert numbers(tuple(covered)) == {1}, "it does not give birth to others"


@pytest.mark.parametrize("finds", [1, 30])
@pytest.mark.parametrize("drift", ["5 % larger", "5 % smaller"])
@pytest.mark.parametrize("score", [0.75, 0.85, 0.96])
def test_a_detector_that_always_believes_a_little_more_or_less_is_stopped_by_the_size(
    score: float, drift: str, finds: int
) -> None:
    film = Film(hold=HOLD)
    film.establish(face(100, 100), frames=finds)
    life, covered = film.life(clinging(score, sure=True, change=DRIFTS[drift]), 10 * HINTS_LAST * HOLD)
    assert life <= HINTS_LAST * HOLD + STEP
    assert max(one.box.width for one in covered) <= LARGEST


@pytest.mark.parametrize("finds", [1, 30])
@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS.keys())
@pytest.mark.parametrize("score", [0.7, 0.75, 0.99 * CONVINCING])
def test_a_detector_that_is_always_just_sure_where_it_is_told_to_look_does_not_go_on_for_ever(
    score: float, drift: Callable[[Box], Box], finds: int
) -> None:
    film = Film(hold=HOLD)
    film.establish(face(100, 100), frames=finds)
    life, covered = film.life(clinging(score, sure=True, change=drift), 10 * HINTS_LAST * HOLD)
    assert life <= HINTS_LAST * HOLD + STEP
    assert max(one.box.width for one in covered) <= LARGEST
    assert numbers(tuple(covered)) == {1}


@pytest.mark.parametrize("score", [0.6, 0.75, CONVINCING])
def test_no_track_goes_on_beyond_the_edge(score: float) -> None:
    film = Film(hold=HOLD)
    film.establish(face(500, 180), frames=30)
    answer = clinging(score, sure=score >= 0.7, change=DRIFTS["10 % to the right"])
    for _ in range(round(HINTS_LAST * HOLD * FPS)):
        for one in film.ask(answer).detections.faces:
            assert one.box.x1 < SIZE[0] + SIDE


# Cuts and flashes


def scene(film: Film, number: int, *faces: Face, frames: int = 10) -> tuple[Face, ...]:
    film.scene = number
    return film.establish(*faces, frames=frames)


def test_after_a_cut_a_face_that_is_not_found_again_ends_soon() -> None:
    film = Film(hold=5.0)
    scene(film, 1, face(300, 200))
    film.scene = 2
    life, _ = film.life(nothing, 5.0)
    assert life <= AFTER_CUT + 2 * STEP


def test_after_a_cut_a_face_that_is_found_in_the_same_place_goes_on() -> None:
    film = Film(hold=5.0)
    scene(film, 1, face(300, 200))
    scene(film, 2, face(302, 200))
    film.scene = 2
    assert numbers(film.show()) == {1}
    life, _ = film.life(nothing, 10.0)
    assert life > 0.5


def test_a_face_survives_a_flash() -> None:
    film = Film(hold=1.0)
    scene(film, 1, face(300, 200))
    for _ in range(2):
        assert covers(scene(film, 2, frames=1), 300, 200)
    assert numbers(scene(film, 1, face(300, 200), frames=1)) == {1}
    assert numbers(scene(film, 1, face(300, 200))) == {1}


def test_a_lost_face_moves_with_the_camera() -> None:
    wide = picture(5, (SIZE[0] + 100, SIZE[1]))
    film = Film()
    tracker = film.tracker
    for index in range(15):
        left = 5 * index
        frame = frame_of(wide[:, left : left + SIZE[0]], index, pts=index * STEP)
        tracker.expect(frame)
        found = () if index > 4 else (face(400 - left, 200),)
        covered = tracker.update(frame, Detections(frame.id, found)).detections.faces
        assert covers(covered, 400 - left, 200)


# What ends everything


@pytest.mark.parametrize("what", ["a new connection", "another size", "a long gap", "time that runs backwards"])
def test_nothing_is_known_of_faces_after(what: str) -> None:
    film = Film(hold=10.0)
    film.establish(face(100, 100))
    after = None
    if what == "a new connection":
        film.generation = 2
    elif what == "another size":
        film.size = (320, 180)
    else:
        after = 10.01 if what == "a long gap" else -0.2
    assert film.show(after=after) == ()
    assert film.expected == ()
    assert numbers(film.show(face(100, 100))) == {2}, "and no number comes again"


@pytest.mark.parametrize("hold", [2.0, 5.0])
def test_pictures_that_come_rarely_are_followed_for_as_long_as_faces_are_held(hold: float) -> None:
    film = Film(hold=hold)
    film.establish(face(100, 100))
    assert numbers(film.show(after=0.9 * hold)) == {1}


def test_a_face_that_leaves_while_there_are_no_verdicts_does_not_run_away() -> None:
    film = Film(hold=30.0)
    film.establish(*(face(x, 100) for x in (500, 540, 580)), frames=3)
    for index in range(200):
        film.tracker.expect(frame_of(np.full((SIZE[1], SIZE[0]), 90, np.uint8), 100 + index, pts=1 + index * STEP))
    assert all(track.visible(SIZE) > 0 for track in film.tracker._tracks)


def test_a_short_gap_ends_nothing() -> None:
    film = Film(hold=2.0)
    film.establish(face(100, 100))
    assert numbers(film.show(after=0.9)) == {1}


def test_a_second_frame_of_the_same_time_is_no_trouble() -> None:
    film = Film()
    film.establish(face(100, 100))
    for x in (104, 96, 100):
        assert numbers(film.show(face(x, 100), after=0.0)) == {1}
    (covered,) = film.show()
    assert abs(covered.box.centre[0] - 100) < SIDE


# The order of calls


def test_a_frame_that_was_expected_and_never_judged_is_skipped() -> None:
    film = Film()
    film.establish(face(300, 200))
    for _ in range(3):
        film.tracker.expect(film.next())
    assert numbers(film.show(face(300, 200))) == {1}


def test_the_same_frame_twice_changes_no_number() -> None:
    film = Film()
    film.establish(face(300, 200))
    found = Detections(film.frame.id, (face(300, 200),))
    for _ in range(3):
        assert numbers(film.tracker.update(film.frame, found).detections.faces) == {1}
        assert len(film.tracker.expect(film.frame)) == 1


def test_without_any_expectation_an_update_is_refused_and_leaves_no_trace() -> None:
    tracker = Tracker(hold=HOLD)
    frame = frame_of(picture(None, SIZE))
    found = Detections(frame.id, (face(300, 200),))
    with pytest.raises(AssertionError):
        tracker.update(frame, found)
    assert tracker.expect(frame) == ()
    assert numbers(tracker.update(frame, found).detections.faces) == {1}


# What is said of the frames before


def test_a_new_face_was_there_before_as_far_as_is_known() -> None:
    film = Film()
    film.establish(frames=5)
    (back,) = film.ask(lambda expected: [face(300, 200)]).back
    assert (back.start, back.end) == (None, around(300, 200))
    assert back.since < STEP, "since the film began"


def test_a_new_face_was_not_there_before_the_cut() -> None:
    film = Film()
    scene(film, 1, frames=5)
    film.scene = 2
    film.show()
    cut = film.pts
    (back,) = film.ask(lambda expected: [face(300, 200)]).back
    assert cut - STEP < back.since < cut


def test_a_recovered_face_was_somewhere_in_between() -> None:
    film = Film()
    film.establish(face(300, 200))
    seen = film.pts
    film.establish(frames=4)
    (back,) = film.ask(lambda expected: [face(310, 200)]).back
    assert back.since == seen
    assert back.start is not None
    assert back.start.centre == pytest.approx((300, 200), abs=1)
    assert 300 < back.end.centre[0] <= 310


def test_a_face_that_is_found_in_every_frame_says_nothing_of_those_before() -> None:
    film = Film()
    film.establish(face(300, 200))
    assert film.ask(lambda expected: [face(300, 200)]).back == ()
