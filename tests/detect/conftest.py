"""Real detectors for the package's tests: opening one takes a tenth of a second."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect import native
from faceanond.detect.cache import Graphs, mtcnn_graphs
from faceanond.detect.factory import open_detector
from faceanond.detect.protocol import Detector
from tests.detect.fenced import Fenced


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    return mtcnn_graphs(tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="session")
def kernels() -> None:
    """The compiled kernels; without them the test skips. CI has a compiler, so there they must have been built."""
    reason = native.missing()
    if reason is None:
        return
    if os.environ.get("CI") == "true" and not native.LIBRARY.is_file() and native.BUILDS_HERE:
        pytest.fail(f"the compiled kernels are missing: {reason}")
    pytest.skip(f"the compiled kernels are not available: {reason}")


@pytest.fixture(scope="session")
def byte_networks(kernels: None) -> None:
    """The 8-bit networks; where the CPU does not run them the test skips."""
    if (reason := native.networks_missing()) is not None:
        pytest.skip(f"the 8-bit networks are not available: {reason}")


@pytest.fixture(params=["avx2", "plain"])
def variant(kernels: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Draws and suppresses as a CPU would that runs this variant of the kernels and no better one."""
    name: str = request.param
    if name not in native.variants():
        pytest.skip(f"this CPU does not run what is compiled for {name}")
    monkeypatch.setattr(native, "variants", lambda: (name,))
    return name


@pytest.fixture(scope="session", params=["8 bit first", "float"])
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    """MTCNN as it runs with the 8-bit networks, and as it does without."""
    quantised = request.param == "8 bit first"
    if quantised:
        request.getfixturevalue("byte_networks")
    # Another device for a run by hand, as docs/guide/gpu.md has it.
    device = DetectorConfig(device=os.environ.get("FACEANOND_TEST_DEVICE", "cpu")).device  # type: ignore[arg-type]
    settings = DetectorConfig(device=device, threads=1, quantised=quantised)
    opened = open_detector(settings, cache=tmp_path_factory.mktemp("graphs"))
    yield opened
    opened.close()


@pytest.fixture
def fenced() -> Iterator[Fenced]:
    memory = Fenced()
    yield memory
    memory.open()
