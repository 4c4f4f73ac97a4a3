from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs

from faceanond.config.model import DetectOptions, Track
from faceanond.errors import STOPPED, DetectionError
from faceanond.frames import Box, Detections, Expected, Face, RawFrame
from faceanond.pipeline.follow import TRACK_FAILED, Follower
from faceanond.pipeline.judge import Judged
from faceanond.track.tracker import Tracker
from tests.pictures import raw_frame

FACE = Face(Box(100, 80, 160, 150), 0.99)
LOOK_AHEAD = 0.2
WAIT = 5
"""Frames of the look-ahead at 25 a second."""

Answer = Callable[[RawFrame], Detections]


def found(*faces: Face) -> Answer:
    return lambda frame: Detections(frame.id, faces)


def refused(reason: str) -> Answer:
    def answer(frame: RawFrame) -> Detections:
        raise DetectionError(reason, "no answer")

    return answer


class Detector:
    """Answers as told, and notes what it was told."""

    def __init__(self) -> None:
        self.answer: Answer = found(FACE)
        self.expected: list[tuple[Expected, ...] | None] = []

    async def detect(
        self, frame: RawFrame, options: DetectOptions, expected: tuple[Expected, ...] | None = None
    ) -> Detections:
        self.expected.append(expected)
        return self.answer(frame)


class Following:
    """A follower and the frames that it gets."""

    def __init__(self, follower: Follower, detector: Detector) -> None:
        self.follower = follower
        self.detector = detector
        self._index = 0

    async def judge(self, answer: Answer | None = None, **settings: object) -> Judged | None:
        if answer is not None:
            self.detector.answer = answer
        frame = raw_frame(self._index, **settings)  # type: ignore[arg-type]
        self._index += 1
        return await self.follower.judge(frame)

    def taken(self, *, all_of_them: bool = True) -> list[Judged]:
        taken = []
        while (judged := self.follower.take(all_of_them=all_of_them)) is not None:
            taken.append(judged)
        return taken

    async def film(self, *answers: Answer) -> list[Judged]:
        for answer in answers:
            await self.judge(answer)
        return self.taken()


@asynccontextmanager
async def following(**settings: object) -> AsyncIterator[Following]:
    detector = Detector()
    track = Track.model_validate({"look_ahead": LOOK_AHEAD, **settings})
    follower = Follower("lobby", detector, DetectOptions(), track)
    try:
        yield Following(follower, detector)
    finally:
        follower.close()


def reason(judged: Judged) -> str | None:
    return judged.outcome.reason if isinstance(judged.outcome, DetectionError) else None


def faces(judged: Judged) -> tuple[Face, ...]:
    assert isinstance(judged.outcome, Detections)
    assert judged.outcome.frame == judged.frame.id, "each frame leaves with its own verdict"
    return judged.outcome.faces


def break_tracker(monkeypatch: pytest.MonkeyPatch, step: str, *when: int) -> None:
    """Lets the trackers' calls of that name with these numbers fail."""
    real, calls = getattr(Tracker, step), iter(range(1000))

    def call(self: Tracker, *arguments: object) -> object:
        if next(calls) in when:
            raise ZeroDivisionError("no such track")
        return real(self, *arguments)

    monkeypatch.setattr(Tracker, step, call)


async def test_a_face_carries_its_number_and_the_detector_is_told_where_it_should_be() -> None:
    async with following() as run:
        judged = await run.film(*[found(FACE)] * 5)
        assert [[(one.track, one.coasted) for one in faces(each)] for each in judged] == [[(1, False)]] * 5
        assert run.detector.expected[0] == ()
        for expected in run.detector.expected[1:]:
            assert expected is not None
            (one,) = expected
            assert (one.track, one.box.centre) == (1, pytest.approx(FACE.box.centre))


async def test_a_face_that_is_missed_is_coasted() -> None:
    async with following() as run:
        judged = await run.film(*[found(FACE)] * 5, *[found()] * 3)
        assert [[one.coasted for one in faces(each)] for each in judged[5:]] == [[True]] * 3


async def test_a_face_that_is_found_late_is_covered_in_the_frames_that_wait() -> None:
    async with following() as run:
        judged = await run.film(found(), found(), found(), found(FACE))
        assert [len(faces(each)) for each in judged] == [1, 1, 1, 1]


async def test_frames_leave_one_by_one_in_their_order() -> None:
    async with following() as run:
        for index in range(20):
            assert await run.judge() is None
            assert [judged.frame.id.index for judged in run.taken(all_of_them=False)] == [
                waited for waited in [index - WAIT] if waited >= 0
            ]
            assert len(run.follower) == min(index + 1, WAIT)
        assert run.follower.oldest is not None
        assert run.follower.oldest.id.index == 20 - WAIT
        assert [judged.frame.id.index for judged in run.taken()] == list(range(20 - WAIT, 20))
        assert run.follower.oldest is None
        assert run.follower.take(all_of_them=True) is None


async def test_another_connections_frame_lets_those_go_that_wait() -> None:
    async with following() as run:
        for _ in range(3):
            await run.judge()
        await run.judge(generation=2)
        assert [judged.frame.id.generation for judged in run.taken(all_of_them=False)] == [1, 1, 1]
        assert len(run.follower) == 1


@pytest.mark.parametrize("step", ["expect", "update"])
async def test_a_tracker_that_fails_conceals_that_frame_and_a_new_one_goes_on(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_tracker(monkeypatch, step, 3)
    async with following() as run:
        with capture_logs() as logs:
            judged = await run.film(*[found(FACE)] * 4, found(), *[found(FACE)] * 3)
        assert [reason(each) for each in judged] == [None] * 3 + [TRACK_FAILED] + [None] * 4
        assert [line["event"] for line in logs if line["log_level"] == "error"] == ["tracking failed"]
        assert [len(faces(each)) for each in judged[5:]] == [1, 1, 1]
        assert run.detector.expected[-4] == (), "the new tracker knows nothing yet"
        assert len(run.detector.expected[-1] or ()) == 1, "and learns"


async def test_a_tracker_that_always_fails_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    break_tracker(monkeypatch, "update", *range(100))
    async with following() as run:
        judged = await run.film(*[found(FACE)] * 10)
        assert {reason(each) for each in judged} == {TRACK_FAILED}
        assert len(judged) == 10


@pytest.mark.parametrize("why", ["timeout", "nan", "overload"])
async def test_without_an_answer_a_frame_is_concealed_and_the_face_is_known_afterwards(why: str) -> None:
    async with following() as run:
        judged = await run.film(*[found(FACE)] * 5, refused(why), found())
        assert [reason(each) for each in judged] == [None] * 5 + [why, None]
        assert [(one.track, one.coasted) for one in faces(judged[-1])] == [(1, True)]


@pytest.mark.parametrize(
    "answer",
    [
        lambda frame: Detections(raw_frame(99).id, (FACE,)),
        found(replace(FACE, box=Box(float("nan"), 0, 10, 10))),
        found(replace(FACE, box=Box(0, 0, 1e9, 10))),
        found(replace(FACE, box=Box(50, 50, 10, 10))),
        found(replace(FACE, score=7.0)),
        found(*[FACE] * 501),
    ],
    ids=["of another frame", "nan", "too far", "inside out", "no score", "too many"],
)
async def test_what_cannot_be_believed_never_reaches_the_tracker(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Detections] = []
    real = Tracker.update

    def update(self: Tracker, frame: RawFrame, detections: Detections) -> object:
        told.append(detections)
        return real(self, frame, detections)

    monkeypatch.setattr(Tracker, "update", update)
    async with following() as run:
        judged = await run.film(found(FACE), answer, found(FACE))
        assert [one.frame.index for one in told] == [0, 2]
        unbelievable = judged[1].outcome
        assert isinstance(unbelievable, Detections), "as it came: the anonymiser refuses it, and says why"
        assert unbelievable.faces != (FACE,) or unbelievable.frame != judged[1].frame.id
        assert [one.track for one in faces(judged[2])] == [1]


async def test_a_suspect_frame_is_concealed_whatever_the_look_ahead_learns() -> None:
    async with following() as run:
        await run.judge(found())
        await run.judge(found(), suspect="gap")
        await run.judge(found(FACE))
        judged = run.taken()
        assert [reason(each) for each in judged] == [None, "gap", None]
        assert len(run.detector.expected) == 2


async def test_a_stopped_cameras_frame_does_not_wait() -> None:
    async with following() as run:
        await run.judge()
        stopped = await run.judge(refused(STOPPED))
        assert stopped is not None
        assert reason(stopped) == STOPPED
        assert [judged.frame.id.index for judged in run.taken()] == [0]


async def test_without_a_tracker_each_frame_is_judged_for_itself_and_leaves_at_once() -> None:
    async with following(enabled=False) as run:
        for answer, count in ((found(FACE), 1), (found(), 0), (found(FACE), 1)):
            assert await run.judge(answer) is None
            (judged,) = run.taken(all_of_them=False)
            assert len(faces(judged)) == count
            assert all(one.track is None and not one.coasted for one in faces(judged))
        assert run.detector.expected == [None] * 3


async def test_without_look_ahead_faces_are_followed_without_a_delay() -> None:
    async with following(look_ahead=0.0) as run:
        for answer in (found(FACE), found(FACE), found()):
            await run.judge(answer)
            (judged,) = run.taken(all_of_them=False)
            assert len(faces(judged)) == 1


async def test_what_waits_is_dropped_when_it_is_closed() -> None:
    async with following() as run:
        await run.judge()
        run.follower.close()
        assert len(run.follower) == 0
        assert run.follower.take(all_of_them=True) is None


async def test_the_frames_own_pictures_leave_untouched() -> None:
    async with following() as run:
        (judged,) = await run.film(found(FACE))
        assert np.array_equal(judged.frame.y, raw_frame(0).y)
        assert judged.frame.id == raw_frame(0).id
