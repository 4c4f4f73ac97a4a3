from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceanond.detect import proposals
from faceanond.detect.cache import Graphs
from faceanond.detect.native import Proposer
from faceanond.detect.networks import Answers, Pixels, Planar, Runner, logit
from faceanond.detect.picture import Picture
from faceanond.detect.proposals import MARGIN, Look, _cut, _packed, propose_bytes, propose_dense
from faceanond.detect.pyramid import levels
from faceanond.detect.quantise import quantised, ranges
from faceanond.detect.session import Device, Network
from faceanond.detect.weights import load_weights
from tests.frames_util import posed, raw

THRESHOLD = logit(0.6)


@pytest.fixture(scope="module")
def pnet(graphs: Graphs) -> Runner:
    return Planar(Network("P-Net", graphs.pnet, Device("cpu", 1)), most=128, side=12)


@pytest.fixture(scope="module")
def proposer(byte_networks: None) -> Proposer:
    return Proposer(quantised(load_weights(), "pnet", ranges()["pnet"]))


def looks(*names: str, threshold: float = THRESHOLD) -> list[Look]:
    found = []
    for index, name in enumerate(names):
        frame = raw(posed(name))
        picture = Picture(frame)
        found += [Look(index, picture.level(level), threshold) for level in levels(*frame.size, 20, 0.709)]
    return found


def by_cell(look: Look) -> dict[tuple[int, int], Answers]:
    return {(int(x), int(y)): answer for (x, y), answer in zip(look.cells, look.answers, strict=True)}


def assert_same(ours: list[Look], others: list[Look]) -> None:
    for one, other in zip(ours, others, strict=True):
        mine, theirs = by_cell(one), by_cell(other)
        assert mine.keys() == theirs.keys()
        for cell, answer in mine.items():
            assert (answer == theirs[cell]).all()


def test_sheets_of_any_size_give_the_answers_of_whole_levels(pnet: Runner) -> None:
    whole = looks("astronaut 0.5", "astronaut 0.9 odd size")
    propose_dense(whole, pnet, None)
    assert sum(len(look.cells) for look in whole) > 20
    for side in (40, 96, 320):
        packed = looks("astronaut 0.5", "astronaut 0.9 odd size")
        propose_dense(packed, pnet, side)
        assert_same(packed, whole)


@pytest.mark.parametrize("pixels", [1, 4_000, 9_999, 20_000])
def test_a_level_too_large_for_one_run_gives_the_same_in_strips(
    pnet: Runner, pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, strips = looks("astronaut 0.9 odd size"), looks("astronaut 0.9 odd size")
    propose_dense(whole, pnet, None)
    monkeypatch.setattr(proposals, "_RUN_PIXELS", pixels)
    propose_dense(strips, pnet, None)
    assert_same(strips, whole)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(6, 200), st.integers(6, 200)), min_size=1, max_size=12),
    st.sampled_from([24, 64, 320]),
)
def test_pieces_lie_apart_on_their_sheets_and_miss_no_cell(sizes: list[tuple[int, int]], side: int) -> None:
    all_looks = [Look(0, np.zeros((2 * h, 2 * w, 4), np.uint8), 0.0) for h, w in sizes]
    pieces = [piece for look in all_looks for piece in _cut(look, side)]
    seen: dict[int, set[tuple[int, int]]] = {id(look): set() for look in all_looks}
    for piece in pieces:
        height, width = piece.picture.shape[:2]
        cells = {
            (x + piece.left // 2, y + piece.top // 2) for x in range(width // 2 - 5) for y in range(height // 2 - 5)
        }
        assert cells
        assert not cells & seen[id(piece.look)]
        seen[id(piece.look)] |= cells
    for look in all_looks:
        height, width = look.picture.shape[:2]
        assert len(seen[id(look)]) == (height // 2 - 5) * (width // 2 - 5)
    placed = 0
    for sheet in _packed(pieces, side):
        taken = np.zeros(sheet.shape, int)
        for piece, left, top in sheet.places:
            assert left % 2 == top % 2 == 0
            height, width = piece.picture.shape[:2]
            part = taken[top : top + height, left : left + width]
            assert part.shape == (height, width)
            part += 1
            placed += 1
        assert taken.max() == 1
    assert placed == len(pieces)


def test_the_8_bit_network_finds_what_the_float_network_finds(pnet: Runner, proposer: Proposer) -> None:
    names = ("astronaut 1.0", "astronaut 0.35", "astronaut 0.75 mirrored", "astronaut 0.9 odd size")
    exact, quick = looks(*names), looks(*names)
    propose_dense(exact, pnet, None)
    propose_bytes(quick, proposer, pnet, None)
    wanted = found = missed = 0
    for one, other in zip(exact, quick, strict=True):
        mine, theirs = by_cell(one), by_cell(other)
        wanted += len(mine)
        found += len(theirs)
        missed += len(mine.keys() - theirs.keys())
    assert wanted > 500
    assert missed == 0
    assert found < 1.2 * wanted


def test_a_close_rejection_is_asked_of_the_float_network(proposer: Proposer) -> None:
    asked: list[int] = []

    class Contrary:
        most = 1000

        def warm_up(self) -> None:
            return

        def run(self, pictures: Pixels) -> Answers:
            asked.append(len(pictures))
            return np.full((len(pictures), 5, 1, 1), 9, np.float32)

    (sure, *_), (look, *_) = looks("astronaut 0.35"), looks("astronaut 0.35")
    cells, answers = proposer.propose(sure.picture, THRESHOLD - MARGIN, 10_000)
    close = answers[:, 0] <= THRESHOLD
    assert 0 < close.sum() < len(cells)
    propose_bytes([look], proposer, Contrary(), None)
    assert asked == [close.sum()]
    assert look.cells.tolist() == cells.tolist()
    assert (look.answers[close] == 9).all()
    assert (look.answers[~close] == answers[~close]).all()


def test_the_pictures_of_cells_are_what_the_level_shows() -> None:
    (look, *_) = looks("astronaut 0.35")
    look.cells = np.array([[0, 0], [3, 5], [look.picture.shape[1] // 2 - 6, look.picture.shape[0] // 2 - 6]], np.int32)
    patches = proposals._patches(look, np.array([2, 0, 1]))
    for (x, y), patch in zip(look.cells[[2, 0, 1]], patches, strict=True):
        assert (patch == look.picture[2 * y : 2 * y + 12, 2 * x : 2 * x + 12]).all()


def test_a_frame_full_of_candidates_is_refused_and_no_other(
    pnet: Runner, proposer: Proposer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals, "MOST_CELLS", 300)
    for propose in (
        lambda all_looks: propose_dense(all_looks, pnet, None),
        lambda all_looks: propose_dense(all_looks, pnet, 320),
        lambda all_looks: propose_bytes(all_looks, proposer, pnet, None),
    ):
        full, fine = looks("astronaut 1.0", threshold=-20.0), looks("astronaut 0.35")
        for look in fine:
            look.frame = 1
        propose([*full, *fine])
        for look in full:
            assert look.refused is not None
            assert look.refused.reason == "too_many_faces"
            assert not len(look.cells)
        assert all(look.refused is None for look in fine)
        assert any(len(look.cells) for look in fine)


def test_what_a_crowd_costs_is_bounded_before_the_float_network_is_asked(
    proposer: Proposer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Never:
        most = 1

        def warm_up(self) -> None:
            return

        def run(self, pictures: Pixels) -> Answers:
            raise AssertionError("the float network was asked")

    monkeypatch.setattr(proposals, "MOST_CELLS", 0)
    propose_bytes(looks("astronaut 0.35"), proposer, Never(), None)
