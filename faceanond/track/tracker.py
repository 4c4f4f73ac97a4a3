"""Follows the faces of one camera from frame to frame, so that one that the detector misses for a moment stays hidden.

For each frame: `expect` says where faces should be (the detector looks there more closely), `update` takes what it
found. What it is sure of counts everywhere; what it is not sure of counts where a track expects it (two thresholds, as
in ByteTrack, Zhang et al. 2022). A face that is lost stays covered for `hold`, in a region that grows.

What bounds a track: it ends `hold` after the last sign of its face; `HINTS_LAST` times `hold` after the detector was
last sure, whatever weaker signs there are; `GUIDED_LASTS` times `hold` after the last sign of it in the search of the
whole picture; soon after a cut; when its face has left the picture; when another track has its face. No
identity is computed: a number says only that boxes of neighbouring frames belong together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from faceanond.frames import Box, Detections, Expected, Face, RawFrame
from faceanond.track.assign import pairs, same
from faceanond.track.motion import MotionMeter
from faceanond.track.track import NO_BELIEF, Track

HINT = 0.3
"""The score of a face that the detector is not sure of, from which it counts at all."""
EXPECTED_HINT = 0.15
"""The same at the place where a track expects it."""
UNSEEN = 4
"""Frames without a sign after which a face is forgotten that was never covered."""
ENOUGH = 1.2
"""The belief from which a face that was never found for sure is covered."""
HINTS_LAST = 3.0
"""Times `hold` that a track may live on signs that the detector was not sure of."""
GUIDED_LASTS = 30.0
"""Times `hold` that a track may live on closer looks alone, however sure: on signs that there would not be if it were
not expected. A head that lies on its side for minutes gives a hint in the whole picture now and then."""
NEARLY_ALL = 0.8
"""Share of the box where a face was expected that the box of a hint must hold to stand for it."""
LEAST_VISIBLE = 0.2
"""Share of a face within the picture below which it has left."""
TOGETHER = 1.0
"""Sizes a second by which the speeds of two tracks of one face may differ."""
AFTER_CUT = 0.15
"""Seconds that a track whose face is not found lives on after a supposed cut: it may have been a flash."""
NEWBORN = 3
"""Finds up to which the frames before are covered anew with each: its velocity is only being learnt."""
_JUST_BEFORE = 1e-3
"""Seconds: the first frame after a cut belongs to what follows it."""
_LONGEST_STEP = 1.0
"""Seconds between two frames after which nothing is known of where faces are, unless `hold` is longer."""


@dataclass(frozen=True, slots=True)
class Back:
    """A face that must be covered in the frames before this one, too: after `since` (exclusive), from the box where it
    was then (None: unknown) to the box where it is now."""

    track: int
    since: float
    start: Box | None
    end: Box
    vx: float = 0.0
    vy: float = 0.0


@dataclass(frozen=True, slots=True)
class Tracked:
    """A frame's faces: found, coasted, and what follows for the frames before it."""

    detections: Detections
    back: tuple[Back, ...] = ()


class Tracker:
    """One camera's tracks. Used by one thread at a time."""

    def __init__(self, *, hold: float) -> None:
        """`hold`: seconds that a lost face stays covered."""
        self._hold = hold
        self._tracks: list[Track] = []
        self._numbers = 0
        self._meter = MotionMeter()
        self._now: float | None = None
        self._step = 0.0
        self._cut = float("-inf")
        self._generation: int | None = None
        self._size = (0, 0)

    def expect(self, frame: RawFrame) -> tuple[Expected, ...]:
        """Goes on to a frame: where its faces should be. A new connection, another size or a long gap ends all tracks.

        Blocks for about half a millisecond. The same frame must then be given to `update`, or no frame at all.
        """
        now = frame.pts
        step = 0.0 if self._now is None else now - self._now
        longest = max(_LONGEST_STEP, self._hold)
        if frame.id.generation != self._generation or frame.size != self._size or not 0 <= step <= longest:
            self._tracks.clear()
            self._cut = now - _JUST_BEFORE
            step = 0.0
        self._generation, self._size, self._now, self._step = frame.id.generation, frame.size, now, step
        motion = self._meter.measure(frame)
        if motion.cut:
            self._cut = now - _JUST_BEFORE
        for track in self._tracks:
            track.predict(now, motion.dx, motion.dy, frame.size)
        # Not only in `update`: while there are no verdicts nobody else would end what nobody sees.
        self._tracks = [track for track in self._tracks if self._may_be_there(track)]
        newest_first = sorted(self._tracks, key=lambda track: -track.seen)
        return tuple(Expected(track.number, track.box, track.turn) for track in newest_first if track.shown)

    def update(self, frame: RawFrame, detections: Detections) -> Tracked:
        """The frame's faces, after `expect` for the same frame."""
        assert self._now is not None
        now = self._now
        before = {track.number: (track.seen, track.last) for track in self._tracks}
        known = {track.number for track in self._tracks if track.shown}
        own, left = self._assign(detections.faces)
        self._begin(left, own, now)
        for track in self._tracks:
            face = own.get(track.number)
            track.weigh(face, self._step, self._hold)
            track.shown |= track.belief >= ENOUGH or (face is not None and face.sure and not face.guided)
        back = [
            self._back(track, before.get(track.number))
            for track in self._tracks
            if track.number in own
            and track.shown
            and (track.number not in known or track.hits <= NEWBORN or before[track.number][0] < now - 1.5 * self._step)
        ]
        self._tracks = [track for track in self._tracks if not self._over(track, own)]
        shown = [track for track in self._tracks if track.shown]
        faces = [replace(own[track.number], track=track.number) for track in shown if track.number in own]
        # A hint may be beside the face: where it was expected is covered as well.
        faces += [
            Face(track.box, track.score, track=track.number, coasted=True)
            for track in shown
            if (face := own.get(track.number)) and not face.sure and track.box.held_by(face.box) < NEARLY_ALL
        ]
        # What is sure but not told apart from a face that is followed is covered, too, and what ended its track.
        numbers = {track.number for track in shown}
        ended = [face for number, face in own.items() if number not in numbers]
        faces += [face for face in (*left, *ended) if face.sure and not face.guided]
        faces += [
            Face(track.reach(), track.score, track=track.number, coasted=True)
            for track in shown
            if track.number not in own
        ]
        return Tracked(Detections(frame.id, tuple(faces)), tuple(back))

    def _may_be_there(self, track: Track) -> bool:
        """Whether a track can still have a face in the frame that has just begun."""
        return track.visible(self._size) >= LEAST_VISIBLE and track.now - track.seen <= self._hold + self._step

    def _assign(self, faces: Sequence[Face]) -> tuple[dict[int, Face], list[Face]]:
        """The face of each track that has one, and the faces of no track."""
        own: dict[int, Face] = {}
        left = [face for face in faces if face.track is None and (face.sure or face.score >= HINT)]
        told = {face.track: face for face in faces if face.track is not None and face.score >= EXPECTED_HINT}

        def free() -> list[Track]:
            return [track for track in self._tracks if track.number not in own]

        def give(track: Track, face: Face) -> None:
            track.correct(face, max(self._step, 1e-3))
            own[track.number] = face

        for sure in (True, False):
            for track, face in pairs(free(), [face for face in left if face.sure is sure]):
                give(track, face)
                left.remove(face)
            for track in free():
                near = told.get(track.number)
                if near is None or near.sure is not sure or not track.fits(near.box):
                    continue
                if not any(same(near.box, one.box) for one in own.values()):
                    give(track, near)
        return own, left

    def _begin(self, left: list[Face], own: dict[int, Face], now: float) -> None:
        """New tracks for the faces that belong to none; takes them out of `left`."""
        shown = {track.number for track in self._tracks if track.shown}
        covered = [face for number, face in own.items() if number in shown or face.sure]
        for face in sorted(left, key=lambda face: -face.score):
            if any(same(face.box, one.box) for one in covered):
                continue
            self._numbers += 1
            track = Track.begun(self._numbers, face, now)
            self._tracks.append(track)
            own[track.number] = face
            covered.append(face)
            left.remove(face)

    def _back(self, track: Track, before: tuple[float, Box] | None) -> Back:
        """What a new or recovered track says of the frames before this one."""
        if before is None or before[0] <= self._cut or track.hits + track.hints <= NEWBORN:
            return Back(track.number, self._cut, None, track.box, track.vx, track.vy)
        return Back(track.number, before[0], before[1], track.box)

    def _over(self, track: Track, own: dict[int, Face]) -> bool:
        """Whether the track ends."""
        now = track.now
        if track.belief < NO_BELIEF or now - track.found > HINTS_LAST * self._hold:
            return True
        if self._cut > track.found and now - self._cut > AFTER_CUT and track.shown:
            return True
        if now - track.seen_everywhere > GUIDED_LASTS * self._hold:
            return True
        outside = track.visible(self._size) < LEAST_VISIBLE
        face = own.get(track.number)
        if face is not None:
            return outside and face.guided
        if not track.shown:
            return now - track.seen > (UNSEEN + 0.5) * self._step
        return now - track.seen > self._hold or outside or self._is_another(track, own)

    def _is_another(self, track: Track, own: dict[int, Face]) -> bool:
        """Whether what is left of a lost track is another track's face, and not one that somebody walks past.

        A mere hint is not covered, so it must not end the track of what it may be.
        """
        return any(
            same(track.box, own[other.number].box)
            and math.hypot(other.vx - track.vx, other.vy - track.vy) < TOGETHER * track.size
            for other in self._tracks
            if other.shown and other.number in own
        )
