from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from faceanond.detect import native
from faceanond.detect.native import Classifier, Proposer, Sampler
from faceanond.detect.native.build import build
from faceanond.detect.picture import rgb_matrix
from faceanond.detect.quantise import quantised, ranges
from faceanond.detect.weights import load_weights
from tests.conftest import need_tool
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
        sampler = Sampler((planes[0], planes[1], planes[2]), 0.5, rgb_matrix(frame.matrix, full_range=False), 16)
        out = np.zeros((frame.height, frame.width, 4), np.uint8)
        sampler.level(out, frame.width, frame.height)
        drawn.append((out, sampler.crops(squares, 24), sampler.crops(squares, 48)))
    for plain, guarded in zip(*drawn, strict=True):
        assert (plain == guarded).all()


def sums(plane: NDArray[np.uint8], black: int, at: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """The plane's sum from far before its beginning up to each place along an axis; black beyond the edges."""
    far = 300
    padded = np.pad(
        plane.astype(np.float64), [(far, far) if i == axis else (0, 0) for i in range(2)], constant_values=black
    )
    total = np.concatenate([np.zeros_like(padded.take([0], axis)), padded.cumsum(axis)], axis)
    whole = np.floor(at + far).astype(int)
    part = (at + far - whole).reshape([-1 if i == axis else 1 for i in range(2)])
    return np.asarray(total.take(whole, axis) + part * padded.take(whole, axis))


def averaged(
    plane: NDArray[np.uint8], black: int, square: tuple[float, float, float], side: int
) -> NDArray[np.float64]:
    """The definition: each result is the mean of the plane beneath it."""
    left, top, length = square
    edges = np.arange(side + 1) * (length / side)
    rows = np.pad(plane, [(0, 0), (300, 300)], constant_values=black)
    rows = np.diff(sums(rows, black, top + edges, 0), axis=0)
    # The first pass has sums of rows, so black counts as often.
    columns = np.diff(_columns(rows, left + 300 + edges), axis=1)
    return columns / (length / side) ** 2


def _columns(rows: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.concatenate([np.zeros((len(rows), 1)), rows.cumsum(1)], 1)
    whole = np.floor(at).astype(int)
    return total[:, whole] + (at - whole) * rows[:, whole]


@pytest.mark.parametrize("side", [24, 48])
def test_a_crop_is_the_mean_of_what_lies_beneath_each_pixel(side: int) -> None:
    random = np.random.default_rng(2)
    luma = random.integers(0, 256, (70, 90)).astype(np.uint8)
    grey = np.full((70, 90), 128, np.uint8)
    matrix = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]], np.float32)
    squares = [(10.0, 5.0, 24.0), (3.3, 7.7, 50.1), (-20.4, -3.0, 96.0), (60.2, 50.9, 70.0), (30.1, 30.6, 9.3)]
    crops = Sampler((luma, grey, grey), 1.0, matrix, 0).crops(np.array(squares), side)
    for square, crop in zip(squares, crops, strict=True):
        wanted = averaged(luma, 0, square, side)
        assert np.abs(crop[..., 0] - wanted).max() < 1.5
        assert (crop[..., 0] == crop[..., 2]).all()


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
    sampler = Sampler((frame.y, frame.u, frame.v), 0.5, rgb_matrix(frame.matrix, full_range=False), 16)
    for out in (noise(10, 10, 4), noise(20, 20, 3), noise(40, 20, 4)[::2]):
        with pytest.raises(ValueError, match="do not fit"):
            sampler.level(out, 20, 20)


def test_what_the_kernels_have_no_room_for_is_refused() -> None:
    frame = raw(noise(200, 300, 3))
    sampler = Sampler((frame.y, frame.u, frame.v), 0.5, rgb_matrix(frame.matrix, full_range=False), 16)
    with pytest.raises(ValueError, match="too many to be drawn as 74x60"):
        sampler.level(noise(60, 74, 4), 74, 60)
    for square in ([0, 0, 97], [0, 0, 0], [0, 0, -5], [0, 0, np.nan], [np.inf, 0, 20], [0, np.nan, 20], [1e7, 0, 20]):
        with pytest.raises(ValueError, match="at most 96 long"):
            sampler.crops(np.array([[0.0, 0.0, 20.0], square]), 24)


def test_a_library_that_is_missing_or_broken_is_a_reason_and_no_crash(tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not a library")
    assert "were not built" in str(native._library(tmp_path / "missing.so"))
    assert "cannot be loaded" in str(native._library(broken))
    assert native.missing() is None


def test_a_library_of_another_source_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "source_hash", lambda: "0" * 16)
    copy = tmp_path / "older.so"
    copy.write_bytes(native.LIBRARY.read_bytes())
    assert "built from another source" in str(native._library(copy))


def test_no_access_to_memory_is_out_of_bounds_and_no_arithmetic_undefined(tmp_path: Path) -> None:
    gcc, library = need_tool("gcc"), tmp_path / "watched.so"
    build(library, "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    watchers = [run(gcc, f"-print-file-name={name}").stdout.strip() for name in ("libasan.so", "libubsan.so")]
    environ = {
        "LD_PRELOAD": ":".join(watchers),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python keeps what it likes
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    result = run(sys.executable, "-m", "tests.detect.kernel_fuzz", str(library), "25", environ=environ)
    assert (result.returncode, result.stdout) == (0, "done 25\n"), result.stderr[-3000:]


def run(*command: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_the_build_compiles_and_names_what_it_was_built_from(tmp_path: Path) -> None:
    need_tool("gcc")
    build(tmp_path / "kernels.so", "-O0")
    assert isinstance(native._library(tmp_path / "kernels.so"), ctypes.CDLL)


def test_a_compiler_that_is_missing_or_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for compiler, error in (("no-such-compiler", OSError), ("false", subprocess.CalledProcessError)):
        monkeypatch.setenv("CC", compiler)
        with pytest.raises(error):
            build(tmp_path / "kernels.so")
