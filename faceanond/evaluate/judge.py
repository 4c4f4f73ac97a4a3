"""Stands where the encoder would: compares every sealed picture with the clip's own, decoded a second time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from faceanond.anonymise.frame import AnonymisedFrame, require_sealed
from faceanond.anonymise.planes import Planes
from faceanond.anonymise.shapes import Mask
from faceanond.errors import FaceanondError
from faceanond.evaluate.coverage import Coverage, concealed, coverage, shows_through
from faceanond.evaluate.tally import FaceFrame, Tally
from faceanond.evaluate.truth import Kind, Label, Truth
from faceanond.frames import Box, RawFrame, Verdict


class JudgeError(FaceanondError):
    """What came out is not what went in, frame by frame."""


class Judge:
    """A writer for one clip. `read` yields the clip's pictures anew, from the first on; used by the writing thread.

    `margin` is what the pipeline adds to a face on each side: hiding that much is asked for and not over-masking.
    """

    def __init__(self, truth: Truth, read: Callable[[], RawFrame | None], *, margin: float) -> None:
        self._labels = truth.by_frame()
        self._frames = truth.frames
        self._read = read
        self._margin = margin
        self.tally = Tally()
        self.cpu = 0.0
        """Processor seconds of the writing thread that went into looking, without decoding."""

    def write(self, frame: AnonymisedFrame) -> None:
        """Blocking. Raises JudgeError when the frames do not come one by one, in order."""
        require_sealed(frame)
        number = self.tally.frames
        before = self._read()
        started = time.thread_time()
        if before is None or before.id.index != number:
            raise JudgeError(f"the clip, decoded again, has no frame {number}")
        if frame.source is None or frame.source.index != number or frame.verdict is Verdict.HELD:
            raise JudgeError(f"a picture came out in the place of frame {number} that does not show it")
        planes = Planes.copied(before)
        if frame.i420.shape != planes.i420.shape:
            raise JudgeError(f"frame {number} came out in another size")
        labels = self._labels.get(number, [])
        if frame.verdict is Verdict.FULL and concealed(planes, frame.i420):
            self._note_concealed(labels)
        else:
            # A picture that only claims to be concealed is judged as any other.
            self._note(labels, frame, planes, coverage(planes, frame.i420, _boxes(frame), before.size))
        self.tally.verdicts[frame.verdict] += 1
        if frame.reason is not None:
            self.tally.reasons[frame.reason] += 1
        self.cpu += time.thread_time() - started

    def finish(self) -> None:
        """Raises JudgeError when labelled frames never came out: what was not seen was not judged."""
        if self.tally.frames != self._frames:
            raise JudgeError(f"{self._frames} frames are labelled, but {self.tally.frames} came out")

    def _note_concealed(self, labels: Sequence[Label]) -> None:
        self.tally.faces += [FaceFrame(label, 1.0, concealed=True) for label in labels if label.kind is Kind.FACE]
        self.tally.concealed += 1
        self.tally.shares += 1.0

    def _note(self, labels: Sequence[Label], frame: AnonymisedFrame, before: Planes, covered: Coverage) -> None:
        tally = self.tally
        allowed = covered.blocks(label.box.grown(self._margin) for label in labels)
        spilt = _spilt(labels, _boxes(frame), covered, ~allowed)
        tally.faces += [
            FaceFrame(label, self._hidden(label, frame, before, covered), spilt=pixels)
            for label, pixels in zip(labels, spilt, strict=True)
            if label.kind is Kind.FACE
        ]
        faces = covered.blocks(label.box.grown(self._margin) for label in labels if label.kind is Kind.FACE)
        # What hides a print is neither for a face's sake nor too much.
        masked, over = covered.area(faces | ~allowed), covered.area(~allowed)
        around = sum(pixels for label, pixels in zip(labels, spilt, strict=True) if label.kind is Kind.FACE)
        tally.masked += masked
        tally.over += over
        tally.elsewhere += over - around
        tally.shares += covered.area() / (covered.width * covered.height)

    @staticmethod
    def _hidden(label: Label, frame: AnonymisedFrame, before: Planes, covered: Coverage) -> float:
        """The share of a face that is hidden: none of it where it can be seen through its mask."""
        share = covered.share(label.box)
        return 0.0 if share and shows_through(before, frame.i420, label.box) else share


def _boxes(frame: AnonymisedFrame) -> list[Box]:
    return [region.box for region in frame.regions]


def _spilt(labels: Sequence[Label], regions: Sequence[Box], covered: Coverage, wrong: Mask) -> list[int]:
    """For each label the wrongly hidden pixels of the regions that lie over it more than over any other.

    No pixel counts twice; a region that lies over no label is for nobody's sake.
    """
    spilt = [0] * len(labels)
    counted: Mask = np.zeros_like(wrong)
    for region in regions:
        shared = [region.common(label.box) for label in labels]
        most = max(shared, default=0.0)
        if most > 0:
            within = covered.blocks([region]) & wrong & ~counted
            spilt[shared.index(most)] += covered.area(within)
            counted |= within
    return spilt
