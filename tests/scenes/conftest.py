from __future__ import annotations

from collections.abc import Iterator

import pytest

from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect.factory import open_detector
from faceanond.detect.protocol import Detector
from tests.conftest import FakeClock
from tests.scenes.detectors import Remembering
from tests.scenes.scene import START


@pytest.fixture(scope="session")
def mtcnn() -> Iterator[Detector]:
    """The real detector, opened once: it keeps nothing from one frame to the next. Live and in a file a scene asks it
    the same, so half of its answers are remembered ones."""
    detector = open_detector(DetectorConfig(device="cpu", threads=1))
    detector.warm_up()
    yield Remembering(detector)
    detector.close()


@pytest.fixture
def clock() -> FakeClock:
    """Starts with the scenes."""
    return FakeClock(START)
