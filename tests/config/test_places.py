from __future__ import annotations

from faceanond.config.lines import scan
from faceanond.config.overrides import read
from faceanond.config.places import Places


def test_a_key_stands_at_its_line_in_the_file() -> None:
    places = Places("c.toml", scan("[a]\nb = 1"))
    assert places.of(("a", "b")).text == "c.toml:2"
    assert places.of(("a", "c")).text == "c.toml:1"


def test_an_override_wins_over_the_file_and_over_earlier_overrides() -> None:
    places = Places("c.toml", scan("[log]\nlevel = 'x'\nformat = 'y'"))
    places.add([read("log.level=debug", 0), read("log.level=info", 1)])
    assert places.of(("log", "level")).text == "--set log.level=info"
    assert places.of(("log", "format")).text == "c.toml:3"
    assert places.of(("log",)).text == "c.toml:1"


def test_a_table_that_only_an_override_made_stands_there() -> None:
    places = Places("c.toml", scan(""))
    places.add([read("cameras.a.enabled=true", 0)])
    assert places.of(("cameras", "a", "source")).text == "--set cameras.a.enabled=true"
    assert places.of(("cameras", "a")).text == "--set cameras.a.enabled=true"


def test_a_renamed_key_stands_where_it_was_written() -> None:
    places = Places("c.toml", scan("[detector]\n\nmtcnn_score = 1"))
    places.rename(("detector", "score_threshold"), ("detector", "mtcnn_score"))
    assert places.of(("detector", "score_threshold")).text == "c.toml:3"


def test_places_sort_by_line_number_and_overrides_come_last() -> None:
    places = Places("c.toml", scan(""))
    ordered = sorted([places.override(0, "--set a"), places.line(10), places.line(9)])
    assert [place.text for place in ordered] == ["c.toml:9", "c.toml:10", "--set a"]
