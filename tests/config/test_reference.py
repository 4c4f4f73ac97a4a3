from __future__ import annotations

from pathlib import Path

import pytest

from faceanond.config.reference import BEGIN, tables, updated

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "config.md"


def test_the_reference_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == updated(page), "run python -m faceanond.config.reference"


def test_a_row_tells_names_type_default_and_meaning() -> None:
    assert (
        "| `min_size` (also `mtcnn_min_size`) | a whole number from 12 to 4096 | `40` | the smallest face" in tables()
    )


def test_a_page_keeps_its_own_words() -> None:
    assert updated(f"words\n{BEGIN}old") == f"words\n{BEGIN}\n{tables()}"


def test_a_page_without_marker_is_refused() -> None:
    with pytest.raises(ValueError, match="no marker"):
        updated("words")
