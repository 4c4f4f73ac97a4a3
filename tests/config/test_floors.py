"""Settings that hide less than the floor are refused, with words that name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from faceanond.config.floors import FLOORS, asks_to_show, method_meant, too_weak
from faceanond.config.load import parse
from faceanond.config.model import Anonymise, Camera, Config
from faceanond.errors import ConfigError

DESIGN = Path(__file__).parents[2] / "docs" / "design" / "anonymising.md"


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.toml", environ={})
    [problem] = caught.value.problems
    return str(problem)


@pytest.mark.parametrize("table", ["anonymise", "cameras.yard.anonymise"])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "mosaic_level = 13",
            "mosaic_level: hides less than the floor: at most 12 cells along a face's side; "
            "expected a whole number from 2 to 12, got 13",
        ),
        (
            "blur_level = 19.9",
            "blur_level: hides less than the floor: a standard deviation of at least 20 pixels, and of a quarter of "
            "the face's side where that is more; expected a number from 20 to 500, got 19.9",
        ),
        (
            "margin = -0.01",
            "margin: hides less than the floor: the whole of the face's box, which is a margin of 0; "
            "expected a number from 0 to 2, got -0.01",
        ),
    ],
)
def test_a_setting_below_the_floor_is_refused_with_its_line_and_the_floor(
    table: str, setting: str, message: str
) -> None:
    assert refused(f"[{table}]\n{setting}\n[cameras.yard]\nsource = 'demo:'") == f"c.toml:2: {table}.{message}"


@pytest.mark.parametrize("setting", ["mosaic_level = 12", "blur_level = 20", "margin = 0", "noise = 32"])
def test_a_setting_on_the_floor_is_taken(setting: str) -> None:
    parse(f"[anonymise]\n{setting}", "c.toml", environ={})


@pytest.mark.parametrize("setting", ["mosaic_level = 1", "blur_level = 501", "margin = 2.5", "margin = 'x'"])
def test_what_is_wrong_in_another_way_is_not_called_weak(setting: str) -> None:
    assert "floor" not in refused(f"[anonymise]\n{setting}")


def test_the_floor_is_only_about_how_faces_are_hidden() -> None:
    assert too_weak("greater_than_equal", ("encode", "margin")) is None
    assert too_weak("greater_than_equal", ("margin",)) is None


def test_the_design_page_has_the_floors_of_the_model() -> None:
    page = DESIGN.read_text(encoding="utf-8")
    for key, (error, _) in FLOORS.items():
        side = "le" if error == "less_than_equal" else "ge"
        bound = next(getattr(one, side) for one in Anonymise.model_fields[key].metadata if hasattr(one, side))
        word = "at most" if side == "le" else "at least"
        assert f"| `{key}` | {word} {bound:g} |" in page, key


@pytest.mark.parametrize("value", ["'none'", "'off'", "'raw'", "''", "false"])
def test_hiding_nothing_is_not_a_method(value: str) -> None:
    assert "is not an option: no picture leaves without its faces hidden" in refused(f"[anonymise]\nmethod = {value}")


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("pixelate", "mosaic"),
        ("Pixelated", "mosaic"),
        ("mosiac", "mosaic"),
        ("gaussian-blur", "blur"),
        ("black", "solid"),
        ("MOSAIC", "mosaic"),
    ],
)
def test_other_names_of_a_method_lead_to_it(name: str, method: str) -> None:
    assert refused(f"[anonymise]\nmethod = '{name}'").endswith(f'got "{name}"; did you mean "{method}"?')


@pytest.mark.parametrize("name", ["zzz", "emoji"])
def test_a_word_that_nobody_uses_leads_nowhere(name: str) -> None:
    assert method_meant(name) is None
    assert "did you mean" not in refused(f"[anonymise]\nmethod = '{name}'")


@pytest.mark.parametrize("table", ["anonymise", "cameras.yard", "cameras.yard.anonymise"])
@pytest.mark.parametrize("key", ["exempt", "exclude", "allow_list", "whitelist"])
def test_nobody_can_be_exempted(table: str, key: str) -> None:
    text = f"[cameras.yard]\nsource = 'demo:'\n[{table}]\n" if table != "cameras.yard" else "[cameras.yard]\n"
    source = "" if table != "cameras.yard" else "source = 'demo:'\n"
    assert "there are no exemptions: every face that is found is hidden" in refused(f"{text}{source}{key} = ['x']")


def test_no_exemption_at_the_top_of_the_file() -> None:
    assert "there are no exemptions" in refused("exempt = ['lobby']")


@pytest.mark.parametrize("table", ["anonymise", "cameras.yard.anonymise"])
def test_anonymising_has_no_switch(table: str) -> None:
    message = refused(f"[{table}]\nenabled = false\n[cameras.yard]\nsource = 'demo:'\nenabled = true")
    assert "anonymising cannot be switched off" in message


def test_other_tables_keep_their_own_hints() -> None:
    assert asks_to_show(("http", "allow")) is None
    assert asks_to_show(("rtsp", "enable")) is None


def test_the_model_has_no_key_that_leaves_a_face_visible() -> None:
    """A reader of a new key's name decides here, on purpose, whether it hides less."""
    assert set(Anonymise.model_fields) == {
        "method", "mosaic_level", "blur_level", "noise", "margin", "shape", "legend",
    }  # fmt: skip
    assert not any("exempt" in name for model in (Anonymise, Camera, Config) for name in model.model_fields)
