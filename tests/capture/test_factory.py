"""Which class serves which scheme."""

import pytest

from faceanond.capture.demo import DemoSource
from faceanond.capture.factory import make_source
from faceanond.capture.pyav_source import PyAvSource
from faceanond.config.model import Camera
from faceanond.errors import SourceError
from tests.conftest import FakeClock


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("rtsp://h/s", PyAvSource),
        ("http://h/s", PyAvSource),
        ("v4l2:/dev/video0", PyAvSource),
        ("0", PyAvSource),
        ("file:/a.mp4", PyAvSource),
        ("demo:", DemoSource),
        ("demo:?size=320x240", DemoSource),
    ],
)
def test_each_scheme_has_its_class_and_nothing_is_opened(source: str, kind: type) -> None:
    assert type(make_source("cam", Camera(source=source), generation=1, clock=FakeClock())) is kind


def test_wrong_options_are_told_before_anything_is_opened() -> None:
    with pytest.raises(SourceError, match="unknown option"):
        make_source("cam", Camera(source="demo:?colour=red"), generation=1, clock=FakeClock())


def test_no_representation_shows_credentials() -> None:
    camera = Camera(source="rtsp://h/s", username="viewer", password="geheim")
    assert "geheim" not in repr(make_source("cam", camera, generation=1, clock=FakeClock()))
