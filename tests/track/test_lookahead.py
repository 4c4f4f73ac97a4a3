from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.frames import Box, Face, FrameId
from faceanond.track.lookahead import MOST, DelayLine, Waiting
from faceanond.track.track import MOST_GROWN
from faceanond.track.tracker import Back
from tests.track.film import FPS, SIDE, Answering, Film, around, contains, covers, face

STEP = 1 / FPS
LOOK_AHEAD = 0.2
TRACK = 1


def waiting(
    index: int, faces: tuple[Face, ...] | None = (), *, generation: int = 1, pts: float | None = None
) -> Waiting[int]:
    return Waiting(index, FrameId("lobby", generation, index), index * STEP if pts is None else pts, faces)


def line(*faces: tuple[Face, ...] | None, look_ahead: float = 10.0) -> DelayLine[int]:
    """One in which a frame waits with each of those."""
    made: DelayLine[int] = DelayLine(look_ahead)
    for index, of_one in enumerate(faces):
        made.push(waiting(index, of_one))
    return made


def left(delayed: DelayLine[int]) -> list[Waiting[int]]:
    """All that wait, the oldest first."""
    taken = []
    while (one := delayed.take(all_of_them=True)) is not None:
        taken.append(one)
    return taken


def coasted(box: Box, track: int = TRACK) -> Face:
    return Face(box, 0.5, track=track, coasted=True)


def new(x: float = 100.0, since: float = -1.0, vx: float = 0.0) -> Back:
    return Back(TRACK, since, None, around(x, 100), vx, 0.0)


# When a frame leaves


def test_without_look_ahead_every_frame_leaves_at_once() -> None:
    delayed: DelayLine[int] = DelayLine(0.0)
    for index in range(5):
        delayed.push(waiting(index))
        taken = delayed.take()
        assert taken is not None
        assert taken.item == index
        assert delayed.take() is None


def test_a_frame_leaves_when_those_of_the_look_ahead_have_come() -> None:
    delayed: DelayLine[int] = DelayLine(LOOK_AHEAD)
    for index in range(5):
        delayed.push(waiting(index))
        assert delayed.take() is None
    delayed.push(waiting(5))
    taken = delayed.take()
    assert taken is not None
    assert taken.item == 0
    assert delayed.take() is None
    assert delayed.oldest.item == 1


@given(
    look_ahead=st.floats(0, 5),
    steps=st.lists(st.floats(-1, 1), max_size=200),
    generations=st.lists(st.integers(0, 1), min_size=200, max_size=200),
)
def test_frames_leave_in_their_order_and_a_bounded_number_waits(
    look_ahead: float, steps: Sequence[float], generations: Sequence[int]
) -> None:
    delayed: DelayLine[int] = DelayLine(look_ahead)
    order, pts, generation = [], 0.0, 1
    for index, step in enumerate(steps):
        pts += step
        generation += generations[index]
        delayed.push(waiting(index, pts=pts, generation=generation))
        while (taken := delayed.take()) is not None:
            order.append(taken.item)
        assert len(delayed) <= MOST
    order += [one.item for one in left(delayed)]
    assert order == list(range(len(steps)))


def test_a_thousand_frames_a_second_do_not_fill_the_memory() -> None:
    delayed: DelayLine[int] = DelayLine(5.0)
    for index in range(1000):
        delayed.push(waiting(index, pts=index / 1000))
        while delayed.take() is not None:
            pass
        assert len(delayed) <= MOST


def test_what_waits_of_another_connection_leaves_at_once() -> None:
    delayed = line((), (), ())
    delayed.push(waiting(3, generation=2, pts=0.0))
    assert [taken.item for _ in range(3) if (taken := delayed.take())] == [0, 1, 2]
    assert delayed.take() is None


def test_what_waits_leaves_when_time_runs_backwards() -> None:
    delayed = line((), ())
    delayed.push(waiting(2, pts=-5.0))
    assert [taken.item for _ in range(2) if (taken := delayed.take())] == [0, 1]


def test_what_is_cleared_never_leaves() -> None:
    delayed = line((), ())
    delayed.clear()
    assert len(delayed) == 0
    assert delayed.take(all_of_them=True) is None
    with pytest.raises(IndexError):
        _ = delayed.oldest


# What is learnt while it waits


def test_a_new_face_is_covered_in_every_frame_that_waits() -> None:
    delayed = line(*[()] * 5)
    delayed.push(waiting(5, (face(100, 100),)), [new()])
    *before, newest = left(delayed)
    for one in before:
        assert one.faces is not None
        (cover,) = one.faces
        assert (cover.track, cover.coasted) == (TRACK, True)
        assert contains(cover.box, around(100, 100))
        assert contains(around(100, 100).grown(MOST_GROWN), cover.box)
    widths = [one.faces[0].box.width for one in before if one.faces]
    assert widths == sorted(widths, reverse=True), "the longer ago, the less is known"
    assert newest.faces == (face(100, 100),)


def test_a_new_face_is_covered_back_to_the_cut_and_no_further() -> None:
    delayed = line(*[()] * 5)
    delayed.push(waiting(5), [new(since=2 * STEP)])
    assert [bool(one.faces) for one in left(delayed)] == [False, False, False, True, True, False]


def test_a_new_face_is_covered_where_it_came_from() -> None:
    delayed = line(*[()] * 5)
    delayed.push(waiting(5), [new(100.0, vx=250.0)])
    for index, one in enumerate(left(delayed)[:5]):
        assert one.faces is not None
        assert covers(one.faces, 100 - 10 * (5 - index), 100)


def test_a_recovered_face_is_covered_in_between_along_the_line() -> None:
    found = Face(around(100, 100), 0.9, track=TRACK)
    delayed = line((found,), (), (), (), ())
    delayed.push(waiting(5, (face(150, 120),)), [Back(TRACK, 0.0, around(100, 100), around(150, 120))])
    first, *between, _ = left(delayed)
    assert first.faces == (found,), "where it was found nothing changes"
    for index, one in enumerate(between, 1):
        assert one.faces is not None
        (cover,) = one.faces
        assert contains(cover.box, around(100 + 10 * index, 100 + 4 * index))
        assert cover.box.width < 1.2 * SIDE


def test_what_coasting_has_covered_stays_covered() -> None:
    wrong = coasted(around(300, 100))
    delayed = line((Face(around(100, 100), 0.9, track=TRACK),), (wrong,))
    delayed.push(waiting(2), [Back(TRACK, 0.0, around(100, 100), around(100, 100))])
    assert wrong in (left(delayed)[1].faces or ())


def test_a_face_that_was_found_itself_is_not_moved() -> None:
    found = Face(around(300, 100), 0.9, track=TRACK)
    delayed = line((found,))
    delayed.push(waiting(1), [Back(TRACK, -1.0, around(100, 100), around(100, 100)), new()])
    assert left(delayed)[0].faces == (found,)


def test_other_faces_are_left_alone() -> None:
    others = (face(300, 300), coasted(around(200, 200), track=2), Face(around(50, 50), 0.9, track=3))
    delayed = line(others)
    delayed.push(waiting(1), [new()])
    faces = left(delayed)[0].faces
    assert faces is not None
    assert set(others) < set(faces)


def test_a_frame_that_is_concealed_stays_concealed() -> None:
    delayed = line(None, (), None)
    delayed.push(waiting(3), [new()])
    assert [None if one.faces is None else len(one.faces) for one in left(delayed)] == [None, 1, None, 0]


def test_nothing_is_learnt_of_another_connections_frames() -> None:
    delayed = line((), ())
    delayed.push(waiting(0, generation=2, pts=2 * STEP), [new()])
    assert [one.faces for one in left(delayed)] == [(), (), ()]


@given(
    first=st.tuples(st.floats(0, 600), st.floats(0, 300), st.floats(12, 100)),
    last=st.tuples(st.floats(0, 600), st.floats(0, 300), st.floats(12, 100)),
    length=st.integers(2, 30),
)
def test_wherever_a_face_was_recovered_no_frame_in_between_is_without_it(
    first: tuple[float, float, float], last: tuple[float, float, float], length: int
) -> None:
    delayed = line(*[()] * length)
    delayed.push(waiting(length), [Back(TRACK, 0.0, around(*first), around(*last))])
    for index, one in enumerate(left(delayed)[1:length], 1):
        share = index / length
        x, y = (a + share * (b - a) for a, b in zip(first[:2], last[:2], strict=True))
        assert one.faces is not None
        assert covers(one.faces, x, y)


# Together with the tracker


def film_of(answers: Sequence[Sequence[Face]], scenes: Sequence[int | None] = ()) -> list[tuple[Face, ...] | None]:
    """What leaves the line of a film whose detector says that."""
    film = Film()
    delayed: DelayLine[int] = DelayLine(LOOK_AHEAD)
    out: list[tuple[Face, ...] | None] = []
    for index, found in enumerate(answers):
        film.scene = scenes[index] if scenes else None
        answering: Answering = lambda expected, found=found: found  # type: ignore[misc]  # noqa: E731
        tracked = film.ask(answering)
        delayed.push(waiting(index, tracked.detections.faces, pts=film.pts), tracked.back)
        while (taken := delayed.take()) is not None:
            out.append(taken.faces)
    return [*out, *(one.faces for one in left(delayed))]


def test_a_face_that_is_found_late_was_covered_before() -> None:
    film = film_of([[]] * 10 + [[face(300, 200)]] * 5)
    assert [bool(faces and covers(faces, 300, 200)) for faces in film] == [False] * 5 + [True] * 10


def test_a_face_that_is_found_late_after_a_cut_is_covered_from_the_cut_on() -> None:
    film = film_of([[]] * 10 + [[face(300, 200)]] * 5, [1] * 8 + [2] * 7)
    assert [bool(faces) for faces in film] == [False] * 8 + [True] * 7


def test_a_face_that_turned_while_it_was_lost_is_covered_all_the_way() -> None:
    """Coasting goes on to the right, but it went up; only looking ahead can tell."""
    places = [(100.0 + 10 * i, 200.0) for i in range(10)] + [(190.0, 200.0 - 8 * i) for i in range(1, 5)]
    film = film_of([[] if 10 <= index < 13 else [face(*place)] for index, place in enumerate(places)])
    for place, faces in zip(places, film, strict=True):
        assert faces is not None
        assert covers(faces, *place)
