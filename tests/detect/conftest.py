"""One real detector for the package's tests: opening it takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect.factory import open_detector
from faceanond.detect.protocol import Detector


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    settings = DetectorConfig(device="cpu", threads=1)
    opened = open_detector(settings, cache=tmp_path_factory.mktemp("graphs"))
    yield opened
    opened.close()
