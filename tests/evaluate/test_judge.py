"""The judge with the real anonymiser: what is said of a picture must be what can be seen in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest

from faceanond.anonymise import effects
from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.config.model import Anonymise
from faceanond.evaluate.judge import Judge, JudgeError
from faceanond.evaluate.tally import Row, Tally
from faceanond.evaluate.truth import Label, Truth
from faceanond.frames import Box, Detections, Face, RawFrame, Verdict
from tests.conftest import FakeClock
from tests.evaluate.labels import label
from tests.pictures import raw_frame

FACE = (100, 60, 160, 140)


def anonymiser(**settings: object) -> Anonymiser:
    chosen = {"method": "solid", "shape": "box", "margin": 0.0, "legend": [], **settings}
    return Anonymiser("lobby", Anonymise.model_validate(chosen), clock=FakeClock())


def sealed(frame: RawFrame, boxes: Iterable[Sequence[float]], **settings: object) -> AnonymisedFrame:
    faces = tuple(Face(Box(*box), 0.9) for box in boxes)
    return anonymiser(**settings).seal(frame, Detections(frame.id, faces))


def judged(labels: Sequence[Label], *frames: AnonymisedFrame, margin: float = 0.25) -> Tally:
    source: Iterator[RawFrame] = map(raw_frame, range(len(frames)))
    judge = Judge(Truth(len(frames), labels), lambda: next(source, None), margin=margin)
    for frame in frames:
        judge.write(frame)
    return judge.tally


def row(tally: Tally) -> Row:
    return tally.row(lambda face: True)


@pytest.mark.parametrize("method", ["solid", "mosaic", "blur"])
def test_a_masked_face_is_covered(method: str) -> None:
    frame = sealed(raw_frame(), [FACE], method=method, shape="ellipse")
    tally = judged([label(box=FACE)], frame)
    assert row(tally).leaked == 0
    assert tally.faces[0].covered == pytest.approx(1.0)


def test_a_face_without_a_mask_has_leaked() -> None:
    tally = judged([label(box=FACE)], sealed(raw_frame(), []))
    assert row(tally).leaked == 1
    assert tally.verdicts == {Verdict.CLEAN: 1}


def test_a_face_beside_the_mask_has_leaked() -> None:
    assert row(judged([label(box=FACE)], sealed(raw_frame(), [(10, 10, 60, 90)]))).leaked == 1


def test_a_mask_that_is_reported_and_not_drawn_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "hide", lambda planes, hidden: None)
    frame = sealed(raw_frame(), [FACE])
    assert frame.verdict is Verdict.MASKED
    assert frame.regions[0].box == Box(*FACE)
    tally = judged([label(box=FACE)], frame)
    assert row(tally).leaked == 1
    assert tally.masked == 0


def test_the_legend_hides_nobody() -> None:
    frame = sealed(raw_frame(), [], legend=["time", "name"])
    assert (frame.i420[:240] != raw_frame().y).any()
    assert row(judged([label(box=(0, 0, 100, 20))], frame)).leaked == 1


def test_full_range_is_no_change() -> None:
    def full(index: int = 0) -> RawFrame:
        frame = raw_frame(index)
        return RawFrame(frame.id, frame.y, frame.u, frame.v, True, frame.matrix, frame.captured, frame.pts)

    judge = Judge(Truth(1, [label(box=FACE)]), full, margin=0.0)
    judge.write(sealed(full(), [(180, 60, 240, 140)]))
    assert row(judge.tally).leaked == 1
    assert judge.tally.masked == 60 * 80


@pytest.mark.parametrize(("right", "leaked"), [(141, 1), (143, 0)])
def test_a_mask_must_reach_over_seven_tenths(right: float, leaked: int) -> None:
    """The anonymiser rounds to even pixels: 142 - 101 of 60 are 68 %, 144 - 101 are 72 %."""
    frame = sealed(raw_frame(), [(100, 60, right, 140)])
    assert row(judged([label(box=(101, 60, 161, 140))], frame)).leaked == leaked


def test_frames_concealed_as_a_whole_are_counted_apart() -> None:
    frames = [anonymiser().conceal(raw_frame(0), "timeout"), sealed(raw_frame(1), [FACE])]
    tally = judged([label(0, box=FACE), label(1, box=FACE)], *frames)
    assert (row(tally).face_frames, row(tally).concealed, row(tally).leaked) == (2, 1, 0)
    assert tally.concealed == 1
    assert tally.reasons == {"timeout": 1}
    assert tally.masked == 60 * 80
    assert tally.over == 0
    assert tally.picture_share == pytest.approx((1 + 60 * 80 / (320 * 240)) / 2)


def test_a_frame_that_is_only_said_to_be_concealed_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "hide_all", lambda planes, effect: None)
    frame = anonymiser().conceal(raw_frame(), "timeout")
    assert frame.verdict is Verdict.FULL
    tally = judged([label(box=(100, 10, 160, 90))], frame)
    assert (row(tally).leaked, tally.concealed) == (1, 0)


def test_prints_are_neither_missed_nor_over_masked() -> None:
    shirt = label(box=FACE, is_print=True)
    open_shirt, hidden_shirt = (judged([shirt], sealed(raw_frame(), boxes)) for boxes in ([], [FACE]))
    assert row(open_shirt).face_frames == 0
    assert hidden_shirt.masked == 0
    assert hidden_shirt.over == 0


def test_over_masking_is_what_is_hidden_outside_the_margins() -> None:
    """A mask that reaches 20 pixels too far to the right of the margin, and one where nobody is."""
    tally = judged(
        [label(box=FACE)], sealed(raw_frame(), [(100, 60, 160 + 15 + 21, 140), (10, 180, 50, 220)]), margin=0.25
    )
    # The margin is 15 pixels; blocks of two pixels that it touches are allowed, so up to 176.
    assert tally.over == 20 * 80 + 40 * 40
    assert tally.elsewhere == 40 * 40
    assert tally.over_masking == pytest.approx((20 * 80 + 40 * 40) / (60 * 80))
    assert row(tally).over == pytest.approx(20 * 80 / (60 * 80))
    assert tally.masked_to_faces == pytest.approx((96 * 80 + 40 * 40) / (60 * 80))


def test_a_wrong_pixel_is_charged_once_and_to_the_face_that_its_mask_lies_over() -> None:
    left, right = label(box=(40, 60, 80, 120), track=1), label(box=(200, 60, 240, 120), track=2)
    frame = sealed(raw_frame(), [(40, 60, 120, 120), (40, 60, 120, 120), (180, 60, 240, 120)])
    tally = judged([left, right], frame, margin=0.0)
    assert [face.spilt for face in tally.faces] == [40 * 60, 20 * 60]
    assert tally.over == 60 * 60
    assert tally.elsewhere == 0


def test_the_margin_may_be_masked_for_free() -> None:
    tally = judged([label(box=FACE)], sealed(raw_frame(), [FACE], margin=0.25), margin=0.25)
    assert tally.masked > 60 * 80
    assert tally.over == 0


def test_a_picture_in_the_place_of_another_is_refused() -> None:
    with pytest.raises(JudgeError, match="frame 0"):
        judged([], sealed(raw_frame(1), []))
    with pytest.raises(JudgeError, match="frame 1"):
        judged([], sealed(raw_frame(0), []), sealed(raw_frame(0), []))


def test_a_held_picture_is_refused() -> None:
    keeper = anonymiser()
    keeper.seal(raw_frame(), Detections(raw_frame().id, ()))
    for held in (keeper.absent("stalled", message=""), anonymiser().absent("stalled", message="no signal")):
        with pytest.raises(JudgeError, match="frame 0"):
            judged([], held)


def test_more_pictures_than_the_clip_has_are_refused() -> None:
    judge = Judge(Truth(1, []), lambda: None, margin=0.0)
    with pytest.raises(JudgeError, match="has no frame 0"):
        judge.write(sealed(raw_frame(), []))


def test_frames_that_never_came_out_are_missed() -> None:
    source = map(raw_frame, range(2))
    judge = Judge(Truth(2, []), lambda: next(source, None), margin=0.0)
    judge.write(sealed(raw_frame(), []))
    with pytest.raises(JudgeError, match="2 frames are labelled, but 1 came out"):
        judge.finish()
    judge.write(sealed(raw_frame(1), []))
    judge.finish()


def test_a_picture_of_another_size_is_refused() -> None:
    judge = Judge(Truth(1, []), lambda: raw_frame(size=(640, 480)), margin=0.0)
    with pytest.raises(JudgeError, match="another size"):
        judge.write(sealed(raw_frame(), []))


def test_only_sealed_pictures_are_taken() -> None:
    with pytest.raises(TypeError):
        judged([], raw_frame())  # type: ignore[arg-type]


def test_odd_sizes_are_judged_in_the_input_s_pixels() -> None:
    frame = raw_frame(size=(321, 241))
    judge = Judge(Truth(1, [label(box=(280, 200, 321, 241))]), lambda: frame, margin=0.0)
    judge.write(sealed(frame, [(280, 200, 321, 241)]))
    assert judge.tally.faces[0].covered == pytest.approx(1.0)
    assert judge.tally.masked == 41 * 41
    assert np.isclose(judge.tally.picture_share, 41 * 41 / (321 * 241))
