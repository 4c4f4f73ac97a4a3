from __future__ import annotations

import json
from collections import Counter

from faceanond.evaluate.report import WORST, Result, as_json, as_text
from faceanond.evaluate.tally import Tally
from faceanond.frames import Verdict
from tests.evaluate.labels import face

ROW = {"face_frames", "concealed", "leaked", "leaked_share", "longest_leak", "over_masking"}


def result(tally: Tally) -> Result:
    return Result(
        clip="yard.mp4",
        sha256="ab" * 32,
        size=(320, 240),
        truth="yard.json",
        settings={"anonymise": {"margin": 0.25}},
        tally=tally,
        cpu_ms=8.25,
        wall_ms=9.5,
    )


def counted() -> Tally:
    faces = [face(frame, side=30, track=3) for frame in range(6)]
    faces += [face(frame, side=30, track=4, covered=1.0, spilt=90) for frame in range(6)]
    faces += [face(6, side=90, covered=1.0, concealed=True), face(2, side=12, track=9, hard=True)]
    return Tally(
        faces,
        Counter({Verdict.MASKED: 6, Verdict.FULL: 1}),
        Counter({"no_answer": 1}),
        masked=6000,
        over=700,
        elsewhere=160,
        concealed=1,
        shares=1.5,
    )


def test_json_keeps_its_keys() -> None:
    told = as_json(result(counted()))
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert set(told) == {
        "clip", "sha256", "width", "height", "truth", "settings", "frames", "classes", "clear_from_20", "all",
        "masking", "leaks", "cost",
    }  # fmt: skip
    assert told["frames"] == {
        "judged": 7,
        "concealed": 1,
        "verdicts": {"clean": 0, "masked": 6, "coasted": 0, "full": 1, "held": 0},
        "reasons": {"no_answer": 1},
    }
    assert told["masking"] == {
        "masked_to_faces": round(6000 / (12 * 900 + 144), 4),
        "over_masking": round(700 / (12 * 900 + 144), 4),
        "elsewhere": round(160 / (12 * 900 + 144), 4),
        "picture_share": round(1.5 / 7, 4),
    }
    assert told["cost"] == {"cpu_ms": 8.25, "wall_ms": 9.5}


def test_json_has_a_row_for_every_class() -> None:
    told = as_json(result(counted()))
    rows = told["classes"]
    assert isinstance(rows, list)
    assert [(row["visibility"], row["size"]) for row in rows] == [
        (visibility, size) for visibility in ("clear", "hard") for size in ("under 20", "20-40", "40-80", "over 80")
    ]
    assert all(set(row) == ROW | {"visibility", "size", "smallest", "limit"} for row in rows)
    assert (rows[0]["smallest"], rows[0]["limit"], rows[3]["limit"]) == (0, 20, None)
    assert {key: rows[1][key] for key in ROW} == {
        "face_frames": 12,
        "concealed": 0,
        "leaked": 6,
        "leaked_share": 0.5,
        "longest_leak": 6,
        "over_masking": 0.05,
    }
    assert rows[0]["leaked_share"] is None
    assert rows[3]["over_masking"] is None
    assert isinstance(told["clear_from_20"], dict)
    assert told["clear_from_20"]["face_frames"] == 13
    assert isinstance(told["all"], dict)
    assert told["all"]["leaked"] == 7


def test_json_lists_every_leak_the_worst_first() -> None:
    assert as_json(result(counted()))["leaks"] == [
        {"track": 3, "first": 0, "last": 5, "frames": 6, "clear": 6, "size": "20-40"},
        {"track": 9, "first": 2, "last": 2, "frames": 1, "clear": 0, "size": "under 20"},
    ]


def test_text_fits_a_terminal_and_tells_the_same() -> None:
    lines = as_text(result(counted()))
    assert max(map(len, lines)) <= 80
    assert lines[0] == "yard.mp4: 7 frames judged (6 masked, 1 full)"
    assert lines[1] == "  1 because of: no answer"
    assert "clear 20-40 px              12          0       6   50.00        6          0.05" in lines
    assert "clear under 20 px            0          0       0       -        0             -" in lines
    assert "worst leaks track 3     frames 0-5            6 long,    6 clear, 20-40 px" in lines
    assert any("concealed as a whole" in line for line in lines)


def test_text_lists_the_worst_leaks_only() -> None:
    lines = as_text(result(Tally([face(0, track=track) for track in range(WORST + 3)])))
    assert sum(" track " in line for line in lines) == WORST
    assert any("and 3 more" in line for line in lines)


def test_a_clip_without_faces_can_be_told() -> None:
    tally = Tally(verdicts=Counter({Verdict.CLEAN: 2}))
    assert any(line.startswith("masked area") and " - " in line for line in as_text(result(tally)))
    json.dumps(as_json(result(tally)), allow_nan=False)
