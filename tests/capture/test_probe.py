"""One look at a camera."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from faceanond.capture.probe import probe
from faceanond.capture.thread import abandoned
from faceanond.config.model import Camera
from faceanond.errors import SourceError, SourceFault
from tests.capture.clips import write
from tests.capture.fake_rtsp import fake_camera


def test_a_file_tells_what_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", size=(96, 64), fps=10)
    info = probe("cam", Camera(source=f"file:{path}"))
    assert (info.codec, info.width, info.height, info.fps) == ("h264", 96, 64, 10.0)


def test_the_demo_tells_what_it_is() -> None:
    assert probe("cam", Camera(source="demo:?size=320x240")).width == 320


def test_a_fault_is_raised(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        probe("cam", Camera(source=f"file:{tmp_path / 'none'}"))
    assert caught.value.fault is SourceFault.NOT_FOUND


@pytest.mark.e2e
def test_a_hanging_camera_takes_no_longer_than_the_timeout_and_the_grace() -> None:
    began = time.monotonic()
    with fake_camera("chatter") as camera, pytest.raises(SourceError) as caught:
        probe("cam", Camera(source=f"rtsp://127.0.0.1:{camera.port}/cam", username="u", password="geheim"), timeout=1.0)
    assert time.monotonic() - began < 10
    assert caught.value.fault in (SourceFault.NO_FRAMES, SourceFault.UNREACHABLE)
    assert "geheim" not in str(caught.value)
    assert abandoned() == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "probe:cam"]
