from __future__ import annotations

import pytest

from faceanond.daemon.version import version_lines
from faceanond.detect import native


@pytest.mark.parametrize(
    ("missing", "networks_missing", "told"),
    [
        (None, None, "kernels pictures, boxes and 8-bit networks"),
        (
            None,
            "this CPU has no AVX-512 VNNI",
            "kernels pictures and boxes; no 8-bit networks: this CPU has no AVX-512 VNNI",
        ),
        ("they were not built", "they were not built", "kernels none: they were not built"),
    ],
)
def test_the_last_line_says_what_is_compiled_and_why_not_more(
    monkeypatch: pytest.MonkeyPatch, missing: str | None, networks_missing: str | None, told: str
) -> None:
    monkeypatch.setattr(native, "missing", lambda: missing)
    monkeypatch.setattr(native, "networks_missing", lambda: networks_missing)
    assert version_lines()[-1] == told
