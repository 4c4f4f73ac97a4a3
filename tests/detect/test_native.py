from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from faceanond.detect import native
from faceanond.detect.native import Classifier, Proposer
from faceanond.detect.native.build import build
from faceanond.detect.quantise import quantised, ranges
from faceanond.detect.weights import load_weights
from tests.conftest import need_tool
from tests.detect.fenced import Fenced

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.fixture(scope="module")
def pnet(byte_networks: None) -> Proposer:
    return Proposer(quantised(load_weights(), "pnet", ranges()["pnet"]))


@pytest.fixture(scope="module")
def rnet(byte_networks: None) -> Classifier:
    return Classifier(quantised(load_weights(), "rnet", ranges()["rnet"]), 24)


@pytest.fixture(scope="module")
def onet(byte_networks: None) -> Classifier:
    return Classifier(quantised(load_weights(), "onet", ranges()["onet"]), 48)


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


def test_what_the_networks_could_not_read_is_refused(pnet: Proposer, rnet: Classifier) -> None:
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


def test_without_the_instructions_there_are_no_networks_but_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older:
        """The library as it is on an older CPU."""

        faceanond_runs_networks = staticmethod(lambda: 0)

    monkeypatch.setattr(native, "_library", Older)
    assert native.missing() is None
    assert native.networks_missing() == "this CPU has no AVX-512 VNNI"
    network = quantised(load_weights(), "rnet", ranges()["rnet"])
    with pytest.raises(RuntimeError, match="not available: this CPU has no AVX-512 VNNI"):
        Classifier(network, 24)


def test_without_a_library_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_library", lambda: "they were not built")
    assert native.missing() == native.networks_missing() == "they were not built"
    with pytest.raises(RuntimeError, match="not available: they were not built"):
        native.variants()


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
    result = run(sys.executable, "-m", "tests.detect.kernel_fuzz", str(library), "50", environ=environ)
    assert (result.returncode, result.stdout) == (0, "done 50\n"), result.stderr[-3000:]


def run(*command: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_the_build_compiles_and_names_what_it_was_built_from(tmp_path: Path) -> None:
    need_tool("gcc")
    build(tmp_path / "kernels.so", "-O0")
    built = native._library(tmp_path / "kernels.so")
    assert not isinstance(built, str)
    assert native._variants(built) == native.variants()


def test_a_compiler_that_is_missing_or_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for compiler, error in (("no-such-compiler", OSError), ("false", subprocess.CalledProcessError)):
        monkeypatch.setenv("CC", compiler)
        with pytest.raises(error):
            build(tmp_path / "kernels.so")
