from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish.rtsp.messages import RtspError
from faceanond.publish.rtsp.paths import base, camera_of


@pytest.mark.parametrize(
    ("url", "camera"),
    [
        ("rtsp://host:8554/yard", "yard"),
        ("rtsps://user@host/yard/", "yard"),
        ("rtsp://host/yard/trackID=0", "yard"),
        ("rtsp://host/yard?token=1", "yard"),
        ("/yard", "yard"),
        ("rtsp://host", ""),
        ("rtsp://host/a/b", "a/b"),
        ("rtsp://host/yard/trackID=1", "yard/trackID=1"),
        ("*", "*"),
    ],
)
def test_a_url_names_a_camera(url: str, camera: str) -> None:
    assert camera_of(url) == camera


def test_the_base_has_neither_query_nor_slash() -> None:
    assert base("rtsp://host/yard/?a=/") == "rtsp://host/yard"


@given(st.text(max_size=60))
def test_any_text_is_a_camera_or_400(url: str) -> None:
    try:
        assert isinstance(camera_of(url), str)
    except RtspError:
        return
