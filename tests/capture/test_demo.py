"""The camera that needs no camera."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from faceanond.capture.demo import AWAY, FAR, NEAR, WALK, DemoSource
from faceanond.capture.pacing import Pacer
from faceanond.config.types import source as parse_source
from faceanond.errors import SourceError
from faceanond.frames import Box, ColourMatrix
from tests.capture.test_pacing import SteppedClock
from tests.conftest import FakeClock

CYCLE = int((WALK + AWAY) * 25)


def demo(query: str = "", *, live: bool = False, clock: FakeClock | None = None) -> DemoSource:
    options = parse_source(f"demo:?{query}").options
    clock = clock or FakeClock()
    wait = clock.wait if isinstance(clock, SteppedClock) else None
    return DemoSource("cam", options, generation=2, clock=clock, live=live, pacer=Pacer(clock, longest=2.0, wait=wait))


def opened(query: str = "") -> DemoSource:
    source = demo(query)
    source.open()
    return source


def planes(source: DemoSource, index: int) -> tuple[bytes, bytes, bytes]:
    frame = source.frame(index)
    return frame.y.tobytes(), frame.u.tobytes(), frame.v.tobytes()


def test_it_is_what_it_says() -> None:
    source = demo("size=640x360&fps=12.5")
    info = source.open()
    frame = source.read()
    assert (info.width, info.height, info.fps) == (640, 360, 12.5)
    assert frame.size == (640, 360)
    assert (frame.id.camera, frame.id.generation, frame.id.index) == ("cam", 2, 0)
    assert frame.suspect is None


def test_the_defaults_are_a_720p_camera() -> None:
    source = demo()
    info = source.open()
    assert (info.width, info.height, info.fps) == (1280, 720, 25.0)
    assert source.read().matrix is ColourMatrix.BT709


def test_a_picture_depends_on_its_number_and_the_options_alone() -> None:
    one, other = opened("size=320x240&seed=4"), opened("size=320x240&seed=4")
    other.frame(3)
    assert planes(one, 111) == planes(other, 111)
    assert planes(one, 111) != planes(opened("size=320x240&seed=5"), 111)


def test_pictures_move() -> None:
    source = opened("size=320x240")
    assert len({planes(source, index) for index in range(0, 50, 5)}) == 10


def test_a_picture_that_is_kept_never_changes() -> None:
    source = opened("size=320x240")
    kept = [source.read() for _ in range(5)]
    before = [frame.y.tobytes() for frame in kept]
    for _ in range(20):
        source.read()
    assert [frame.y.tobytes() for frame in kept] == before


def test_buffers_that_nobody_holds_are_used_again() -> None:
    source = opened("size=320x240")
    for _ in range(50):
        source.read()
    assert len(source._buffers) <= 2


def test_pictures_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        opened("size=320x240").frame(0).y[0, 0] = 1


@pytest.mark.parametrize("size", ["321x241", "161x120", "333x333"])
def test_odd_sizes_work(size: str) -> None:
    source = opened(f"size={size}&faces=3")
    width, height = map(int, size.split("x"))
    for index in range(0, CYCLE, 40):
        assert source.frame(index).size == (width, height)


def test_the_face_comes_goes_and_changes_its_size() -> None:
    source = demo("size=1280x720")
    boxes = [source.true_boxes(index) for index in range(3 * CYCLE)]
    assert boxes[0], "somebody is there at once"
    assert any(not at_once for at_once in boxes)
    heights = [box[0].height for box in boxes if box]
    assert max(heights) == pytest.approx(NEAR, rel=0.03)
    assert min(heights) <= FAR * 1.1
    away = [len(list(group)) for there, group in itertools.groupby(boxes, bool) if not there]
    assert len(away) >= 2
    assert max(away) < 12 * 25


def test_the_face_never_jumps() -> None:
    source = demo("size=1280x720")
    previous = None
    for index in range(2 * CYCLE):
        boxes = source.true_boxes(index)
        if previous and boxes and boxes[0].x1 > 1 and previous.x1 > 1 and boxes[0].x2 < 1279 and previous.x2 < 1279:
            assert abs(boxes[0].x1 - previous.x1) < 25
            assert abs(boxes[0].height - previous.height) < 8
        previous = boxes[0] if boxes else None


def test_true_boxes_are_inside_the_picture() -> None:
    source = demo("size=320x240&faces=4")
    for index in range(0, CYCLE, 3):
        for box in source.true_boxes(index):
            assert box == box.clipped(320, 240)
            assert box.width > 0


def test_true_boxes_lie_where_the_face_was_pasted() -> None:
    """Skin is redder than anything else in the upper part of the room."""
    source = opened("size=640x360")
    index = next(index for index in range(CYCLE) if _whole(source.true_boxes(index)))
    box = source.true_boxes(index)[0]
    frame = source.frame(index)
    x1, y1, x2, y2 = (int(value) // 2 for value in (box.x1, box.y1, box.x2, box.y2))
    inside = frame.v[y1:y2, x1:x2].astype(int)
    room = opened("size=640x360&faces=0").frame(index).v[y1:y2, x1:x2].astype(int)
    assert np.median(inside) > np.median(room) + 8


def _whole(boxes: list[Box]) -> bool:
    return bool(boxes) and boxes[0].x1 > 150 and boxes[0].x2 < 490


def test_there_are_as_many_faces_as_asked_for() -> None:
    counts = {len(demo("faces=3").true_boxes(index)) for index in range(0, 2 * CYCLE, 5)}
    assert max(counts) in (2, 3)
    assert demo("faces=0").true_boxes(100) == []


def test_a_face_behind_a_nearer_person_is_not_counted() -> None:
    source = demo("size=640x360&faces=8")
    whole = [len(source._figures(index)) for index in range(0, CYCLE, 5)]
    seen = [len(source.true_boxes(index)) for index in range(0, CYCLE, 5)]
    assert sum(seen) < sum(whole)


def test_live_pictures_come_at_their_frame_rate() -> None:
    clock = SteppedClock()
    source = demo("size=320x240&fps=10", live=True, clock=clock)
    source.open()
    captured = [source.read().captured for _ in range(6)]
    assert [b - a for a, b in itertools.pairwise(captured)] == pytest.approx([0.1] * 5)


def test_an_interrupt_ends_it() -> None:
    source = demo("size=320x240", live=True)
    source.open()
    source.read()
    source.interrupt()
    assert source.read() is None


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("sise=640x360", "unknown option"),
        ("size=640", "WIDTHxHEIGHT"),
        ("size=10x10", "160x120"),
        ("size=99999x99999", "3840x2160"),
        ("fps=0", "fps"),
        ("fps=inf", "fps"),
        ("fps=-5", "fps"),
        ("seed=1.5", "whole number"),
        ("faces=9", "0 to 8"),
        ("faces=many", "faces"),
    ],
)
def test_wrong_options_are_named(query: str, word: str) -> None:
    with pytest.raises(SourceError, match=word):
        demo(query)


def test_reading_before_opening_is_an_error() -> None:
    with pytest.raises(SourceError):
        demo("size=320x240").read()
