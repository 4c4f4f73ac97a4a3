"""One face over time. Positions are predicted with a constant velocity and corrected by what is found (an alpha-beta
filter, Benedict and Bordner 1962); nothing is known of the face but where it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from faceanond.frames import Box, Face

_FOLLOW, _LEARN = 0.75, 0.35
"""Shares of a surprise that go into position and velocity when the detector is sure; half of that when it is not."""
_SLOWING = 1.0
"""Seconds after which a lost face is believed to have lost most of its speed: people stop and turn."""
_SPREAD = 0.15
"""Of its size a second: how fast a lost face may be elsewhere than predicted."""
_DOUBT = 0.35
"""Of its speed: how wrong the predicted movement of a lost face may be."""
MOST_BELIEF, NO_BELIEF = 9.0, -1.0
"""Log-odds that there is a face: the most that finds can make it, and where the track is given up."""
_FOUND = ((0.95, 3.0), (0.9, 1.5), (0.8, 0.9), (0.7, 0.4), (0.5, -1.0), (0.3, -3.0))
_LOOKED = ((0.98, 3.0), (0.95, 2.0), (0.9, 1.1), (0.8, 0.2), (0.7, 0.1), (0.5, -1.5), (0.3, -3.5), (0.0, -6.0))
_FAR_TURNED = ((0.98, 3.0), (0.95, 2.0), (0.7, -4.0), (0.0, -8.0))
_NOTHING = -10.0
"""What scores say, as log-odds: found in the whole picture; by a closer look, which takes more to convince; and by one
that had to turn the picture far, which finds faces in folds and leaves. What is negative is for each `hold` that passes
so: a face of which nothing is seen any more is given up after one. From how often each score came with a labelled face
and without one, in all clips (docs/design/tracking.md)."""
_FAR = 0.5
"""Radians: turned further than heads usually are."""
CONVINCING = 0.9
"""The score of a closer look that is as good as a find: one that is only ever just sure may be a pattern on a wall."""
_PROMISING, _PROMISE = 0.6, 0.4
"""The score of a closer look that counts for a face that is not covered yet, and what it counts."""
_ANCHORED = 1.5
"""Ratio of sizes up to which a guided find may differ from the last one that was not guided."""
MOST_GROWN = 0.05
"""Of its size, on each side: how far the cover of a lost face grows at most."""


@dataclass(slots=True)
class Track:
    """A face that is followed. Times are seconds of the source; lengths are pixels.

    `found`: when the detector last found it, by itself or convincingly. `seen`: when there was any sign of it; `last`:
    where. `anchor`: its size when the detector last found it without being told where. `shown`: whether it is covered.
    `seen_everywhere`: when there was a sign of it in the search of the whole picture.
    """

    number: int
    x: float
    y: float
    width: float
    height: float
    now: float
    found: float
    seen: float
    score: float
    last: Box
    seen_everywhere: float
    turn: float = 0.0
    vx: float = 0.0
    vy: float = 0.0
    hits: int = 1
    hints: int = 0
    belief: float = 0.0
    shown: bool = True
    anchor: float = 0.0

    @classmethod
    def begun(cls, number: int, face: Face, now: float) -> Track:
        """A new track at a face."""
        box = face.box
        return cls(
            number,
            *box.centre,
            box.width,
            box.height,
            now=now,
            found=now,
            seen=now,
            score=face.score,
            turn=face.turn,
            anchor=max(box.width, box.height, 1.0),
            last=box,
            seen_everywhere=now,
            hits=int(face.sure),
            hints=int(not face.sure),
            shown=face.sure and not face.guided,
        )

    @property
    def box(self) -> Box:
        """Where it is, as far as is known."""
        return Box(self.x - self.width / 2, self.y - self.height / 2, self.x + self.width / 2, self.y + self.height / 2)

    @property
    def size(self) -> float:
        return max(self.width, self.height)

    def predict(self, now: float, dx: float, dy: float, size: tuple[int, int]) -> None:
        """Moves on to a frame's time, with the picture's own movement. `size`: the picture's."""
        step = now - self.now
        self.now = now
        # Whoever is half-way through the picture's edge goes on.
        lost = self.seen < now - step - 1e-6 and self._inside(size)
        keep = math.exp(-step / _SLOWING) if lost else 1.0
        self.vx *= keep
        self.vy *= keep
        self.x += self.vx * step + dx
        self.y += self.vy * step + dy

    def visible(self, size: tuple[int, int]) -> float:
        """The share of it that lies within a picture of that size."""
        return self.box.held_by(Box(0.0, 0.0, *map(float, size)))

    def _inside(self, size: tuple[int, int]) -> bool:
        box = self.box
        return box.x1 > 0 and box.y1 > 0 and box.x2 < size[0] and box.y2 < size[1]

    def correct(self, face: Face, step: float) -> None:
        """Takes a sign of the face in the present frame. `step`: seconds since the frame before."""
        box, trust = face.box, 1.0 if face.sure else 0.5
        dx, dy = box.centre[0] - self.x, box.centre[1] - self.y
        missed = max(step, self.now - self.seen)
        self.x += trust * _FOLLOW * dx
        self.y += trust * _FOLLOW * dy
        # A second find tells the velocity, not a share of it.
        learn = 1.0 if self.hits == 1 and face.sure and not face.guided else trust * _LEARN
        if face.guided:
            learn *= 0.5  # a search that follows its own answers must not run away
        self.vx += learn * dx / missed
        self.vy += learn * dy / missed
        limit = 4 * self.size / 0.2  # nobody crosses four faces in a fifth of a second
        self.vx, self.vy = (min(max(v, -limit), limit) for v in (self.vx, self.vy))
        share = 0.5 * trust
        self.width += share * (box.width - self.width)
        self.height += share * (box.height - self.height)
        self.seen = self.now
        self.last = self.box
        if not face.guided:
            self.seen_everywhere = self.now
        self.hints += not face.sure
        self.turn = face.turn if face.sure else self.turn
        if face.sure:
            if not face.guided:
                self.anchor = max(box.width, box.height)
            if not face.guided or face.score >= CONVINCING:
                self.found = self.now
            self.hits += 1
            self.score = max(self.score, face.score)

    def weigh(self, face: Face | None, step: float, hold: float) -> None:
        """Takes what the present frame said into the belief. `step`: seconds since the frame before."""
        gain = evidence(face)
        if not self.shown:
            # What is not covered yet costs nothing: it ends soon by itself, unless signs add up.
            promising = face is not None and face.guided and face.score >= _PROMISING
            gain = max(gain, _PROMISE if promising else 0.0)
        self.belief = min(self.belief + (gain if gain > 0 else gain * step / hold), MOST_BELIEF)

    def fits(self, box: Box) -> bool:
        """Whether a box that was found by looking here can be this face: a search that follows itself must not grow."""
        return 1 / _ANCHORED <= max(box.width, box.height) / self.anchor <= _ANCHORED

    def reach(self) -> Box:
        """What must be covered while nothing is found: the predicted box, grown by how wrong it may be."""
        missed = self.now - self.seen
        share = _SPREAD * missed + _DOUBT * math.hypot(self.vx, self.vy) * missed / max(self.size, 1.0)
        return self.box.grown(min(share, MOST_GROWN))


def evidence(face: Face | None) -> float:
    """What one frame says for or against a face."""
    if face is None:
        return _NOTHING
    scale = _FOUND if not face.guided else _FAR_TURNED if abs(face.turn) > _FAR else _LOOKED
    for score, gain in scale:
        if face.score >= score:
            return gain
    return scale[-1][1]
