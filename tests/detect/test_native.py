from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from faceanond.detect import native
from faceanond.detect.native import Classifier, Proposer, Sampler
from faceanond.detect.picture import rgb_matrix
from faceanond.detect.quantise import quantised, ranges
from faceanond.detect.weights import load_weights
from tests.frames_util import packaged_face, raw

pytestmark = pytest.mark.usefixtures("kernels")

PAGE = mmap.PAGESIZE


@pytest.fixture(scope="module")
def pnet() -> Proposer:
    return Proposer(quantised(load_weights(), "pnet", ranges()["pnet"]))


@pytest.fixture(scope="module")
def rnet() -> Classifier:
    return Classifier(quantised(load_weights(), "rnet", ranges()["rnet"]), 24)


@pytest.fixture(scope="module")
def onet() -> Classifier:
    return Classifier(quantised(load_weights(), "onet", ranges()["onet"]), 48)


class Fenced:
    """Memory that ends where a page begins that nobody may touch: one byte too far, and the process dies."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._maps: list[tuple[mmap.mmap, ctypes.c_void_p]] = []

    def copy(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        pages = -(-array.nbytes // PAGE)
        memory = mmap.mmap(-1, (pages + 2) * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for fence in (start, start + (pages + 1) * PAGE):
            assert self._libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(PAGE), 0) == 0
            self._maps.append((memory, ctypes.c_void_p(fence)))
        offset = (pages + 1) * PAGE - array.nbytes
        copied = np.frombuffer(memory, np.uint8, array.nbytes, offset).reshape(array.shape)
        copied[...] = array
        return copied

    def open(self) -> None:
        for _, fence in self._maps:
            self._libc.mprotect(fence, ctypes.c_size_t(PAGE), mmap.PROT_READ | mmap.PROT_WRITE)


@pytest.fixture
def fenced() -> Iterator[Fenced]:
    memory = Fenced()
    yield memory
    memory.open()


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


def test_the_kernels_read_no_byte_beyond_crops(fenced: Fenced, rnet: Classifier, onet: Classifier) -> None:
    for network, side in ((rnet, 24), (onet, 48)):
        crops = noise(3, side, side, 4)
        assert (network.classify(fenced.copy(crops)) == network.classify(crops)).all()


@pytest.mark.parametrize(("height", "width"), [(12, 12), (14, 12), (12, 30), (26, 38), (60, 206)])
def test_the_kernels_read_no_byte_beyond_a_level(fenced: Fenced, pnet: Proposer, height: int, width: int) -> None:
    picture = noise(height, width, 4)
    cells, answers = pnet.propose(fenced.copy(picture), -np.inf, 10_000)
    assert len(cells) == (height // 2 - 5) * (width // 2 - 5)
    again, same = pnet.propose(picture, -np.inf, 10_000)
    assert (again == cells).all()
    assert (same == answers).all()


@pytest.mark.parametrize("size", [(2, 2), (34, 18), (63, 65), (128, 30), (127, 131)])
def test_the_kernels_read_no_byte_beyond_the_planes(fenced: Fenced, size: tuple[int, int]) -> None:
    frame = raw(np.ascontiguousarray(packaged_face()[60 : 60 + size[1], 160 : 160 + size[0]]))
    squares = np.array([[x, y, length] for x in (-20, 0, 60, 120) for y in (-9, 20, 125) for length in (7, 30, 90)])
    drawn = []
    for planes in ((frame.y, frame.u, frame.v), tuple(map(fenced.copy, (frame.y, frame.u, frame.v)))):
        sampler = Sampler((planes[0], planes[1], planes[2]), 0.5, rgb_matrix(frame), 16)
        out = np.zeros((frame.height, frame.width, 4), np.uint8)
        sampler.level(out, frame.width, frame.height)
        drawn.append((out, sampler.crops(squares, 24), sampler.crops(squares, 48)))
    for plain, guarded in zip(*drawn, strict=True):
        assert (plain == guarded).all()


def test_squares_that_nobody_asks_for_are_black() -> None:
    frame = raw(packaged_face())
    sampler = Sampler((frame.y, frame.u, frame.v), 0.5, rgb_matrix(frame), 16)
    odd = [[np.nan, 0, 24], [0, np.inf, 24], [1e12, 0, 24], [0, 0, 1e9], [0, 0, 0], [0, 0, -5], [0, 0, np.nan]]
    assert not sampler.crops(np.array(odd), 24).any()


def test_a_threshold_leaves_the_cells_above_it(pnet: Proposer) -> None:
    picture = noise(60, 80, 4)
    cells, answers = pnet.propose(picture, -np.inf, 10_000)
    middle = float(np.median(answers[:, 0]))
    above, _ = pnet.propose(picture, middle, 10_000)
    assert above.tolist() == cells[answers[:, 0] > middle].tolist()
    assert len(pnet.propose(picture, np.inf, 10_000)[0]) == 0


def test_more_cells_than_asked_for_are_cut_off_and_told(pnet: Proposer) -> None:
    assert len(pnet.propose(noise(60, 80, 4), -np.inf, 7)[0]) == 8


def test_no_crops_give_no_answers(rnet: Classifier) -> None:
    assert rnet.classify(np.empty((0, 24, 24, 4), np.uint8)).shape == (0, 5)


def test_what_the_kernels_could_not_read_is_refused(pnet: Proposer, rnet: Classifier) -> None:
    for picture in (
        noise(13, 12, 4),
        noise(10, 12, 4),
        noise(12, 12, 3),
        noise(24, 12, 4)[::2],
        noise(12, 12, 4).astype(np.float32),
    ):
        with pytest.raises(ValueError, match="RGBX with even sides"):
            pnet.propose(picture, 0.0, 10)
    for crops in (noise(2, 24, 23, 4), noise(2, 48, 48, 4), noise(24, 24, 4), noise(2, 24, 24, 4).astype(np.int8)):
        with pytest.raises(ValueError, match="24 wide and high"):
            rnet.classify(crops)
    frame = raw(packaged_face())
    sampler = Sampler((frame.y, frame.u, frame.v), 0.5, rgb_matrix(frame), 16)
    for out in (noise(10, 10, 4), noise(20, 20, 3), noise(40, 20, 4)[::2]):
        with pytest.raises(ValueError, match="do not fit"):
            sampler.level(out, 20, 20)


def test_a_library_that_is_missing_or_broken_is_a_reason_and_no_crash(tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not a library")
    assert "were not built" in str(native._library(tmp_path / "missing.so"))
    assert "cannot be loaded" in str(native._library(broken))
    assert native.missing() is None
