from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect import mtcnn_networks, native
from faceanond.detect.factory import open_detector, unusable_models
from faceanond.detect.session import available_provider
from faceanond.errors import UnavailableError
from tests.detect.networks import like_centerface, like_yunet


def test_the_provider_is_logged_once(tmp_path: Path) -> None:
    with capture_logs() as logs:
        detector = open_detector(DetectorConfig(device="cpu", threads=2), cache=tmp_path)
    detector.warm_up()
    detector.close()
    assert detector.name == "mtcnn"
    assert detector.provider == "cpu"
    opened = [line for line in logs if line["event"] == "detector opened"]
    assert [(line["provider"], line["threads"]) for line in opened] == [("cpu", 2)]


def test_kernels_that_are_missing_are_told_once_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_library", lambda: "they were not built")
    with capture_logs() as logs:
        open_detector(DetectorConfig(device="cpu", threads=1), cache=tmp_path).close()
    [told] = [line for line in logs if line["log_level"] == "warning"]
    assert told["event"].startswith("detecting without the compiled kernels")
    assert told["reason"] == "they were not built"


def test_a_missing_device_is_told_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if available_provider() == "cuda":
        pytest.skip("this machine has CUDA")
    monkeypatch.setattr(mtcnn_networks, "mtcnn_graphs", lambda folder: pytest.fail("graphs were built"))
    with pytest.raises(UnavailableError, match='device "cuda" is not available'):
        open_detector(DetectorConfig(device="cuda"), cache=tmp_path)


def own(folder: Path, *names: str, **contents: bytes) -> DetectorConfig:
    """The settings for these detectors, with files of such contents, vouched for by their hashes."""
    for name, content in contents.items():
        (folder / f"{name}.onnx").write_bytes(content)
    return DetectorConfig(
        name=names,
        device="cpu",
        threads=1,
        model={name: str(folder / f"{name}.onnx") for name in contents},
        model_sha256={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    )


def test_detectors_are_opened_from_their_files(tmp_path: Path) -> None:
    settings = own(tmp_path, "yunet", "centerface", yunet=like_yunet(), centerface=like_centerface())
    assert unusable_models(settings) == []
    for names, called in ((("yunet",), "yunet"), (("centerface", "yunet"), "centerface+yunet")):
        detector = open_detector(settings.model_copy(update={"name": names}))
        assert (detector.name, detector.provider) == (called, "cpu")
        detector.warm_up()
        detector.close()


def test_mtcnn_and_another_are_opened_together(tmp_path: Path) -> None:
    detector = open_detector(own(tmp_path, "mtcnn", "yunet", yunet=like_yunet()), cache=tmp_path)
    detector.warm_up()
    assert detector.name == "mtcnn+yunet"
    assert set(detector.stage_seconds()) == {"pnet", "rnet", "onet", "guided", "mtcnn", "yunet", "total"}
    detector.close()


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    settings = own(tmp_path, "yunet", yunet=like_centerface())
    for problem in (unusable_models(settings)[0], _refusal(settings)):
        assert problem.startswith(f"the model file {tmp_path}/yunet.onnx of yunet is the file of another network")


def test_a_network_that_answers_in_another_grid_is_refused(tmp_path: Path) -> None:
    coarse = like_yunet(finest=16)
    assert "for two pictures of 64x64 it answers with shape" in _refusal(own(tmp_path, "yunet", yunet=coarse))


def test_an_operator_that_the_runtime_does_not_know_is_told_with_the_file(tmp_path: Path) -> None:
    strange = like_yunet().replace(b"Transpose", b"Transpoze")
    said = _refusal(own(tmp_path, "yunet", yunet=strange))
    assert said.startswith(f"the model file {tmp_path}/yunet.onnx of yunet cannot be used: yunet cannot be opened")


def test_every_file_that_is_missing_is_told_and_mtcnn_needs_none(tmp_path: Path) -> None:
    missing = {name: str(tmp_path / name) for name in ("yunet", "centerface")}
    settings = DetectorConfig(name=("mtcnn", "yunet", "centerface"), model=missing)
    assert [problem.split(" ")[3] for problem in unusable_models(settings)] == list(missing.values())
    assert unusable_models(DetectorConfig()) == []


def _refusal(settings: DetectorConfig) -> str:
    with pytest.raises(UnavailableError) as caught:
        open_detector(settings)
    return str(caught.value)
