from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.publish.record.names import Name, is_camera, is_day

MORNING = 1_795_750_200_123
"""2026-11-27 03:30:00.123 UTC."""


def test_a_name_says_the_camera_and_the_time_in_utc() -> None:
    name = Name("yard", MORNING)
    assert (name.day, name.file) == ("2026-11-27", "yard-20261127T033000.123Z.mp4")
    assert name.part == name.file + ".part"


@given(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True), st.integers(0, 253_370_764_799_999))
def test_every_name_is_read_back(camera: str, start: int) -> None:
    name = Name(camera, start)
    assert Name.read(camera, name.file) == name


@given(st.lists(st.integers(0, 253_370_764_799_999), min_size=2, max_size=5))
def test_names_sort_by_time(starts: list[int]) -> None:
    assert sorted(Name("yard", start).file for start in starts) == [
        Name("yard", start).file for start in sorted(starts)
    ]


@pytest.mark.parametrize(
    "file",
    [
        "",
        "yard.mp4",
        "yard-20261127T033000.123Z",
        "yard-20261127T033000.123Z.mp4.part",
        "yard-20261127T033000.123Z.mp4~",
        "yard-20261127T033000Z.mp4",
        "yard-20261327T033000.123Z.mp4",
        "yard-20261127T033060.123Z.mp4",
        "gate-20261127T033000.123Z.mp4",
        "YARD-20261127T033000.123Z.mp4",
        "../yard-20261127T033000.123Z.mp4",
        "yard-20261127T033000.123Z.mp4\n",
        "20261127T033000.123Z.mp4",
        "yard-٢0261127T033000.123Z.mp4",
        "yard-yard-20261127T033000.123Z.mp4",
    ],
)
def test_anything_else_is_no_recording(file: str) -> None:
    assert Name.read("yard", file) is None


@given(st.text(max_size=60))
def test_reading_any_text_never_fails(text: str) -> None:
    assert Name.read("yard", text) is None or text.startswith("yard-")
    assert Name.read(text, "yard-20261127T033000.123Z.mp4") is None or text == "yard"


@pytest.mark.parametrize("camera", ["", "..", "a/b", "Yard", "yard\n", "-yard", "x" * 64])
def test_a_camera_that_cannot_be_has_no_recordings(camera: str) -> None:
    assert not is_camera(camera)
    with pytest.raises(ValueError, match="no recording"):
        Name(camera, MORNING)


def test_a_day_is_ten_characters() -> None:
    assert is_day("2026-11-27")
    assert not any(map(is_day, ["2026-11-7", "2026-11-27 ", "20261127", "..", "x"]))
