from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect import factory
from faceanond.detect.factory import open_detector
from faceanond.detect.session import available_provider
from faceanond.errors import UnavailableError


def test_the_provider_is_logged_once(tmp_path: Path) -> None:
    with capture_logs() as logs:
        detector = open_detector(DetectorConfig(device="cpu", threads=2), cache=tmp_path)
    detector.warm_up()
    detector.close()
    assert detector.name == "mtcnn"
    assert detector.provider == "cpu"
    assert [(line["event"], line["provider"], line["threads"]) for line in logs] == [("detector opened", "cpu", 2)]


def test_a_missing_device_is_told_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if available_provider() == "cuda":
        pytest.skip("this machine has CUDA")
    monkeypatch.setattr(factory, "mtcnn_graphs", lambda folder: pytest.fail("graphs were built"))
    with pytest.raises(UnavailableError, match='device "cuda" is not available'):
        open_detector(DetectorConfig(device="cuda"), cache=tmp_path)
