from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from structlog.testing import capture_logs

from faceanond.anonymise import anonymiser as module
from faceanond.anonymise import effects
from faceanond.anonymise.effects import SOLID_LUMA
from faceanond.anonymise.frame import AnonymisedFrame, require_sealed
from faceanond.anonymise.planes import Planes
from faceanond.frames import Box, ColourMatrix, Detections, Face, FrameId, RawFrame, RegionKind, Verdict
from tests.anonymise.pictures import anonymiser, found, noise, of_planes, plain, planes_of, raw
from tests.conftest import FakeClock

ZONE = ((4.0, 4.0), (20.0, 4.0), (20.0, 20.0), (4.0, 20.0))
FACE = (20.0, 10.0, 40.0, 34.0)


def shows(frame: AnonymisedFrame, source: RawFrame) -> bool:
    """Whether any part of the picture is the camera's own, pixel by pixel."""
    before = plain(source)
    same = frame.i420[: frame.height] == before[: frame.height]
    # 24 equal neighbours in noise are no accident.
    return bool(np.lib.stride_tricks.sliding_window_view(same, (1, min(24, frame.width))).all(axis=(2, 3)).any())


# What is sealed


def test_a_frame_without_faces_is_clean_and_unchanged() -> None:
    frame = raw()

    sealed = anonymiser().seal(frame, found(frame))

    assert sealed.verdict is Verdict.CLEAN
    assert (sealed.i420 == plain(frame)).all()
    assert sealed.regions == ()
    assert sealed.reason is None
    assert (sealed.camera, sealed.source) == ("lobby", frame.id)
    assert (sealed.captured, sealed.pts, sealed.matrix) == (frame.captured, frame.pts, frame.matrix)
    assert require_sealed(sealed) is sealed


@pytest.mark.parametrize("method", ["mosaic", "blur", "solid"])
def test_a_frame_with_a_face_is_masked_there(method: str) -> None:
    frame = raw()

    sealed = anonymiser(method=method).seal(frame, found(frame, FACE, score=0.8))

    assert sealed.verdict is Verdict.MASKED
    (region,) = sealed.regions
    assert (region.kind, region.score, region.track) == (RegionKind.FACE, 0.8, None)
    assert region.box == Box(14, 4, 46, 40)
    changed = sealed.i420[:48, :64] != frame.y
    assert changed[10:34, 20:40].mean() > 0.9


def test_regions_are_in_pixels_of_an_odd_input() -> None:
    frame = raw(63, 47)

    sealed = anonymiser(shape="box").seal(frame, found(frame, (50, 30, 63, 47)))

    assert (sealed.width, sealed.height) == (64, 48)
    assert (sealed.regions[0].box.x2, sealed.regions[0].box.y2) == (63, 47)


def test_the_doubled_column_and_row_of_an_odd_input_are_masked_too() -> None:
    frame = raw(63, 47)

    y, _, _ = planes_of(anonymiser(shape="box", method="solid").seal(frame, found(frame, (50, 30, 63, 47))))

    assert (y[30:, 50:] == SOLID_LUMA).all()


def test_a_face_outside_the_picture_is_nothing_to_hide() -> None:
    frame = raw()

    sealed = anonymiser().seal(frame, found(frame, (-100, -100, -60, -60)))

    assert sealed.verdict is Verdict.CLEAN
    assert sealed.regions == ()


def test_full_range_frames_are_published_in_limited_range() -> None:
    frame = of_planes(np.full((4, 4), 255, np.uint8), *np.full((2, 2, 2), 255, np.uint8), full_range=True)

    y, u, _ = planes_of(anonymiser().seal(frame, found(frame)))

    assert y.max() == 235
    assert u.max() == 240


def test_the_decoders_picture_is_never_written() -> None:
    frame = raw()
    before = frame.y.copy(), frame.u.copy(), frame.v.copy()

    anonymiser(method="solid", legend=("name",), zones=(ZONE,)).seal(frame, found(frame, FACE), fps=25)

    assert all((one == other).all() for one, other in zip(before, (frame.y, frame.u, frame.v), strict=True))


def test_frames_stay_as_they_were_when_later_ones_are_sealed() -> None:
    maker, first = anonymiser(), raw(seed=1)
    sealed = maker.seal(first, found(first))
    before = sealed.i420.copy()

    for index in range(5):
        frame = raw(seed=index + 10, index=index)
        maker.seal(frame, found(frame, FACE))

    assert (sealed.i420 == before).all()


def test_the_legend_lies_over_the_masks_and_changes_nothing_else() -> None:
    frame = raw(320, 240)
    boxes = (0, 0, 100, 100), (200, 120, 280, 200)
    bare = anonymiser(method="solid").seal(frame, found(frame, *boxes), fps=25)

    told = anonymiser(method="solid", legend=("fps",)).seal(frame, found(frame, *boxes), fps=25)

    different = told.i420[:240] != bare.i420[:240]
    assert different[:30, :100].any()
    assert not different[30:].any()
    assert not different[:, 100:].any()
    assert told.regions == bare.regions


# Zones


@pytest.mark.parametrize("method", ["mosaic", "blur", "solid"])
def test_zones_are_hidden_in_every_frame_whatever_the_method(method: str) -> None:
    frame = raw()

    sealed = anonymiser(method=method, zones=(ZONE,)).seal(frame, found(frame))

    y, u, v = planes_of(sealed)
    assert (y[4:20, 4:20] == SOLID_LUMA).all()
    assert (u[2:10, 2:10] == 128).all()
    assert (v[2:10, 2:10] == 128).all()
    assert sealed.verdict is Verdict.CLEAN
    assert [(region.kind, region.score) for region in sealed.regions] == [(RegionKind.ZONE, None)]
    assert sealed.regions[0].box == Box(2, 2, 22, 22)


def test_a_face_over_a_zone_does_not_open_it() -> None:
    frame = raw()

    y, _, _ = planes_of(anonymiser(zones=(ZONE,)).seal(frame, found(frame, (0, 0, 30, 30))))

    assert (y[4:20, 4:20] == SOLID_LUMA).all()


def test_nothing_of_a_zone_shows_in_a_concealed_frame() -> None:
    one = raw(seed=1)
    changed = one.y.copy()
    changed[4:20, 4:20] = noise(16, 16, 99)
    other = of_planes(changed, one.u, one.v)

    pictures = [anonymiser(zones=(ZONE,)).conceal(frame, "gap").i420 for frame in (one, other)]

    assert (pictures[0] == pictures[1]).all()


def test_zones_follow_a_new_size_of_the_picture() -> None:
    wide = ((4.0, 4.0), (60.0, 4.0), (60.0, 60.0), (4.0, 60.0))
    maker = anonymiser(zones=(wide,))

    for size in ((64, 62), (128, 96), (64, 62)):
        frame = raw(*size)
        sealed = maker.seal(frame, found(frame))
        y, _, _ = planes_of(sealed)
        assert (y[4:60, 4:60] == SOLID_LUMA).all()
        assert (y[:, 64:] == frame.y[:, 64:]).all()
        assert sealed.regions[0].box == Box(2, 2, min(62, size[0]), min(62, size[1]))


# What is concealed


@pytest.mark.parametrize("method", ["mosaic", "blur", "solid"])
@pytest.mark.parametrize("size", [(640, 360), (361, 203), (64, 48), (17, 300), (1, 1)])
def test_a_concealed_frame_shows_nothing_of_the_camera(method: str, size: tuple[int, int]) -> None:
    frame = raw(*size)

    sealed = anonymiser(method=method).conceal(frame, "detector_timeout")

    assert sealed.verdict is Verdict.FULL
    assert sealed.reason == "detector_timeout"
    assert [(region.kind, region.box) for region in sealed.regions] == [(RegionKind.FRAME, Box(0, 0, *size))]
    assert sealed.source == frame.id
    assert min(size) < 24 or not shows(sealed, frame)


def test_a_concealed_frame_has_at_most_16_cells_across() -> None:
    frame = raw(640, 360)

    y, u, _ = planes_of(anonymiser(mosaic_level=12).conceal(frame, "gap"))

    row = y[20].astype(int)
    assert 1 < np.count_nonzero(np.diff(row)) < 16
    assert np.count_nonzero(np.diff(u[10].astype(int))) < 16


def test_under_solid_a_concealed_frame_is_one_colour_and_a_caption() -> None:
    frame = raw(640, 360)

    y, u, v = planes_of(anonymiser(method="solid").conceal(frame, "gap"))

    assert (y[: 360 - 40] == SOLID_LUMA).all()
    assert (u == 128).all()
    assert (v == 128).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda frame: Detections(FrameId("lobby", 1, 5), ()), "wrong_frame"),
        (lambda frame: found(frame, (0, 0, float("nan"), 10)), "bad_boxes"),
        (lambda frame: found(frame, FACE, score=float("nan")), "bad_boxes"),
        (lambda frame: found(frame, *[FACE] * 501), "too_many_faces"),
        (lambda frame: Detections(frame.id, None), "effect_failed"),
        (lambda frame: Detections(frame.id, (Face(None, 0.9),)), "effect_failed"),
        (lambda frame: None, "effect_failed"),
    ],
    ids=["another frame", "nan box", "nan score", "501 faces", "no faces tuple", "no box", "nothing"],
)
def test_a_frame_with_an_answer_that_cannot_be_believed_is_concealed(change: object, reason: str) -> None:
    assert callable(change)
    frame = raw(320, 240)

    sealed = anonymiser().seal(frame, change(frame))

    assert (sealed.verdict, sealed.reason) == (Verdict.FULL, reason)
    assert not shows(sealed, frame)


def test_a_suspect_frame_is_concealed_whatever_was_found() -> None:
    frame = raw(320, 240, suspect="gap")

    sealed = anonymiser().seal(frame, found(frame, FACE))

    assert (sealed.verdict, sealed.reason) == (Verdict.FULL, "gap")
    assert not shows(sealed, frame)


def test_a_frame_is_concealed_when_its_effect_fails_half_way(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, hide = raw(320, 240), effects.hide

    def fails_half_way(planes: Planes, regions: object) -> None:
        monkeypatch.setattr(effects, "hide", hide)
        raise RuntimeError("no memory")

    monkeypatch.setattr(effects, "hide", fails_half_way)
    sealed = anonymiser().seal(frame, found(frame, FACE))

    assert (sealed.verdict, sealed.reason) == (Verdict.FULL, "effect_failed")
    assert not shows(sealed, frame)


def test_a_slate_is_shown_when_even_concealing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = raw(321, 240)

    def fails(frame: RawFrame) -> Planes:
        raise MemoryError

    monkeypatch.setattr(Planes, "copied", fails)
    sealed = anonymiser().seal(frame, found(frame, FACE))

    assert (sealed.verdict, sealed.reason) == (Verdict.FULL, "effect_failed")
    assert (sealed.width, sealed.height) == (322, 240)
    assert not shows(sealed, frame)


def test_failures_are_logged_once_a_second_with_their_number(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    maker, frame = anonymiser(clock), raw()

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(module.policy, "target", fails)
    with capture_logs() as logs:
        for _ in range(10):
            maker.seal(frame, found(frame, FACE))
        clock._now += 1.5
        maker.seal(frame, found(frame, FACE))

    assert [(log["event"], log["camera"], log["failures"]) for log in logs] == [
        ("hiding failed", "lobby", 1),
        ("hiding failed", "lobby", 10),
    ]
    assert all(isinstance(log["exc_info"], RuntimeError) for log in logs)


# What is held


def test_the_newest_sealed_picture_stands_in_for_two_seconds(clock: FakeClock) -> None:
    maker, frame = anonymiser(clock), raw(captured=clock.monotonic())
    sealed = maker.seal(frame, found(frame, FACE))

    clock._now += 2.0
    held = maker.absent("no_signal", message="no signal")

    assert held.i420 is sealed.i420
    assert (held.verdict, held.reason) == (Verdict.HELD, "no_signal")
    assert (held.source, held.regions, held.captured) == (frame.id, sealed.regions, clock.monotonic())
    assert require_sealed(held) is held


def test_then_a_slate_follows_and_the_picture_never_comes_back(clock: FakeClock) -> None:
    maker, frame = anonymiser(clock), raw(captured=clock.monotonic())
    maker.seal(frame, found(frame))

    clock._now += 2.01
    slate = maker.absent("no_signal", message="no signal")
    clock._now -= 1.0
    again = maker.absent("no_signal", message="no signal")

    for shown in (slate, again):
        assert (shown.verdict, shown.source, shown.regions) == (Verdict.HELD, None, ())
        assert (shown.width, shown.height) == (64, 48)
        assert not shows(shown, frame)


def test_two_seconds_count_from_the_capture_not_from_the_sealing(clock: FakeClock) -> None:
    maker, frame = anonymiser(clock), raw(captured=clock.monotonic() - 1.5)
    maker.seal(frame, found(frame))

    clock._now += 1.0

    assert maker.absent("late", message="late").source is None


def test_a_capture_time_from_the_future_does_not_lengthen_the_hold(clock: FakeClock) -> None:
    maker, frame = anonymiser(clock), raw(captured=clock.monotonic() + 1000)
    maker.seal(frame, found(frame))

    clock._now += 2.5

    assert maker.absent("late", message="late").source is None


def test_a_concealed_frame_is_not_held_nor_what_was_before_it(clock: FakeClock) -> None:
    maker, frame = anonymiser(clock), raw(captured=clock.monotonic())
    maker.seal(frame, found(frame))
    maker.conceal(raw(index=1), "gap")

    assert maker.absent("late", message="late").source is None


def test_nothing_is_held_over_a_reset(clock: FakeClock) -> None:
    maker, frame = anonymiser(clock), raw(captured=clock.monotonic())
    maker.seal(frame, found(frame))

    maker.reset()

    assert maker.absent("no_signal", message="connecting").source is None


def test_nothing_is_held_over_a_change_of_size(clock: FakeClock) -> None:
    maker, frame = anonymiser(clock), raw(captured=clock.monotonic())
    maker.seal(frame, found(frame))

    shown = maker.absent("no_signal", message="connecting", size=(33, 21))

    assert shown.source is None
    assert (shown.width, shown.height) == (34, 22)


def test_before_the_first_frame_there_is_a_slate() -> None:
    shown = anonymiser().absent("no_signal", message="connecting")

    assert (shown.verdict, shown.source) == (Verdict.HELD, None)
    assert shown.width % 2 == shown.height % 2 == 0


def test_a_slate_is_drawn_once_per_message(clock: FakeClock) -> None:
    maker = anonymiser(clock)
    first = maker.absent("no_signal", message="one")
    clock._now += 1

    second, third = maker.absent("no_signal", message="one"), maker.absent("no_signal", message="two")

    assert second.i420 is first.i420
    assert second.captured == first.captured + 1
    assert (third.i420 != first.i420).any()


# Real pictures


@pytest.mark.parametrize("method", ["mosaic", "blur", "solid"])
def test_real_faces_are_changed_where_they_were_labelled(media: Path, method: str) -> None:
    labels = json.loads((media / "labels" / "asl_again.mkv.json").read_text())
    boxes = [face["box"] for face in labels["faces"] if face["frame"] == 0 and face["kind"] == "face"]
    with av.open(str(media / "clips" / "asl_again.mkv")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="yuvj420p")
    planes = Planes.empty(labels["width"], labels["height"])
    planes.i420[:] = picture
    frame = of_planes(planes.y, planes.u, planes.v, full_range=True)
    bare = anonymiser().seal(frame, found(frame))

    sealed = anonymiser(method=method).seal(frame, found(frame, *[tuple(box) for box in boxes]))

    assert boxes
    assert frame.matrix is ColourMatrix.BT601
    for box in boxes:
        x1, y1, x2, y2 = Box(*box).rounded_out()
        changed = sealed.i420[y1:y2, x1:x2] != bare.i420[y1:y2, x1:x2]
        assert changed.mean() > 0.8


def test_a_zone_outside_the_picture_conceals_all_of_it_and_is_logged_once() -> None:
    frame, elsewhere = raw(), ((2000.0, 2000.0), (2100.0, 2000.0), (2100.0, 2100.0))
    sealer = anonymiser(zones=[ZONE, elsewhere])

    with capture_logs() as logs:
        sealed = [sealer.seal(frame, found(frame)) for _ in range(3)]

    assert {(each.verdict, each.reason) for each in sealed} == {(Verdict.FULL, "zone_outside")}
    assert not shows(sealed[0], frame)
    assert [entry["zones"] for entry in logs] == [["zones[1]"]]


# Faces that a track alone says are there


def tracked(frame: RawFrame, *tracks: tuple[int | None, bool]) -> Detections:
    """A face for each (track, coasted), side by side."""
    return Detections(
        frame.id,
        tuple(
            Face(Box(60 * i + 10, 10, 60 * i + 40, 40), 0.9, track=track, coasted=coasted)
            for i, (track, coasted) in enumerate(tracks)
        ),
    )


@pytest.mark.parametrize(
    ("coasted", "verdict"),
    [
        ((True,), Verdict.COASTED),
        ((True, True), Verdict.COASTED),
        ((True, False), Verdict.MASKED),
        ((False, True), Verdict.MASKED),
        ((False, True, True), Verdict.MASKED),
        ((True, False, True), Verdict.MASKED),
        ((False,), Verdict.MASKED),
        ((), Verdict.CLEAN),
    ],
)
def test_a_frame_is_coasted_when_tracks_alone_say_that_there_is_a_face(
    coasted: tuple[bool, ...], verdict: Verdict
) -> None:
    frame = raw(256, 64)

    sealed = anonymiser().seal(frame, tracked(frame, *enumerate(coasted)))

    assert sealed.verdict is verdict
    assert len(sealed.regions) == len(coasted)


@pytest.mark.parametrize("method", ["mosaic", "blur", "solid"])
def test_a_coasted_face_is_hidden_like_any_other(method: str) -> None:
    frame = raw(256, 64)

    coasted = anonymiser(method=method).seal(frame, tracked(frame, (1, True)))
    found_there = anonymiser(method=method).seal(frame, tracked(frame, (1, False)))

    assert (coasted.i420 == found_there.i420).all()


def test_each_region_tells_its_track() -> None:
    frame = raw(256, 64)

    sealed = anonymiser().seal(frame, tracked(frame, (7, False), (None, False), (3, True)))

    assert [region.track for region in sealed.regions] == [7, None, 3]


def test_a_coasted_face_outside_the_picture_makes_no_frame_coasted() -> None:
    frame = raw()
    gone = Face(Box(-90, 10, -50, 50), 0.9, track=1, coasted=True)

    sealed = anonymiser().seal(frame, Detections(frame.id, (gone,)))

    assert (sealed.verdict, sealed.regions) == (Verdict.CLEAN, ())


def test_a_held_picture_keeps_the_regions_of_a_coasted_one() -> None:
    maker, frame = anonymiser(), raw()
    maker.seal(frame, tracked(frame, (1, True)))

    held = maker.absent("late", message="")

    assert (held.verdict, held.source) == (Verdict.HELD, frame.id)
    assert [region.track for region in held.regions] == [1]
