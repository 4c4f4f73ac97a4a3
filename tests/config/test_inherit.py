from __future__ import annotations

from typing import Any

import pytest

from faceanond.config.inherit import FLEET_TABLES, Written, with_defaults
from faceanond.config.lines import Path
from faceanond.config.model import Camera, Config

DATA: dict[str, Any] = {
    "record": {"keep": "1h", "directory": "/srv"},
    "track": 5,
    "cameras": {"a": {"record": {"segment": "1m"}}, "b": {"record": 7}, "c": {"record": {"keep": "2h"}}, "d": 1},
}


def test_the_fleets_tables_are_those_that_stand_in_a_camera_too() -> None:
    assert set(FLEET_TABLES) == Config.model_fields.keys() & Camera.model_fields.keys()


def test_a_camera_takes_what_it_leaves_out_but_nothing_of_the_whole_process() -> None:
    merged = with_defaults(DATA["cameras"]["a"], DATA)
    assert merged["record"] == {"keep": "1h", "segment": "1m"}
    assert with_defaults({"record": 7}, DATA)["record"] == 7
    assert DATA["cameras"]["a"] == {"record": {"segment": "1m"}}


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        (("cameras", "a", "record", "keep"), ("record", "keep")),
        (("cameras", "a", "record", "segment"), ("cameras", "a", "record", "segment")),
        (("cameras", "b", "record", "keep"), ("cameras", "b", "record", "keep")),
        (("cameras", "c", "record", "keep"), ("cameras", "c", "record", "keep")),
        (("cameras", "d", "record", "keep"), ("cameras", "d", "record", "keep")),
        (("cameras", "a", "anonymise", "legend", 0), ("anonymise", "legend", 0)),
        (("cameras", "a", "zones", 0, 1), ("cameras", "a", "zones", 0, 1)),
        (("cameras", "a", "source"), ("cameras", "a", "source")),
        (("record", "keep"), ("record", "keep")),
    ],
)
def test_the_origin_of_a_value_is_where_it_was_written(path: Path, origin: Path) -> None:
    assert Written(DATA).origin(path) == origin


def test_a_camera_that_wrote_one_of_two_keys_is_to_change_that_one_and_defaults_are_nobodys_fault() -> None:
    def blamed(camera: str) -> Path:
        here: Path = ("cameras", camera, "record")
        return Written(DATA).blame((*here, "keep"), (*here, "segment"))

    assert blamed("a") == ("cameras", "a", "record", "segment")
    assert blamed("c") == ("cameras", "c", "record", "keep")
    assert blamed("gone") == ("record", "keep")
    assert Written(DATA).blame(("http", "listen"), ("record", "keep")) == ("record", "keep")
    assert Written({}).blame(("http", "listen"), ("rtsp", "listen")) == ("http", "listen")
