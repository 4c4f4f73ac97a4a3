from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from faceanond.errors import ExitCode, TruthError
from faceanond.evaluate.truth import ClipFacts, Kind, Label, Visibility, parse_truth, read_truth
from faceanond.frames import Box
from tests.evaluate.labels import document, face_entry

CLIP = ClipFacts("ab" * 32, 320, 240, 12)
ANOTHER = f"labels.json: sha256: these are the labels of another clip; this one's SHA-256 is {CLIP.sha256}"


def mistakes(content: object) -> list[str]:
    with pytest.raises(TruthError) as caught:
        parse_truth(content, "labels.json", CLIP)
    assert caught.value.exit_code == ExitCode.USAGE
    return [str(problem) for problem in caught.value.problems]


def test_good_labels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(document()))
    truth = read_truth(path, CLIP)
    assert truth.frames == 10
    assert truth.labels == [Label(3, 7, Box(100.5, 60, 160, 140), Visibility.CLEAR, Kind.FACE)]
    assert truth.by_frame() == {3: list(truth.labels)}
    assert truth.labels[0].side == 59.5


def test_labels_without_a_hash_are_accepted() -> None:
    assert parse_truth(document(sha256=None), "labels.json", CLIP).frames == 10


def test_a_clip_without_faces_has_an_empty_list() -> None:
    assert parse_truth(document(faces=[]), "labels.json", CLIP).labels == []


def test_a_box_may_end_at_the_edge_and_miss_it_by_a_rounding() -> None:
    box = [-0.5, 0, 320.4, 240]
    assert len(parse_truth(document(faces=[face_entry(box=box)]), "labels.json", CLIP).labels) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "labels.json: expected an object with frames and faces, not a list"),
        (document(sha256="cd" * 32), ANOTHER),
        (document(width=640), "labels.json: width: is 640, but the clip's pictures are 320x240"),
        (document(height=None), "labels.json: height: is missing"),
        (document(frames=None), "labels.json: frames: is missing"),
        (document(frames="10"), 'labels.json: frames: expected a whole number, not "10"'),
        (document(frames=True), "labels.json: frames: expected a whole number, not true"),
        (document(frames=13), "labels.json: frames: is 13, but the clip has 12"),
        (document(frames=0, faces=[]), "labels.json: frames: is 0, but the clip has 12"),
        (document(faces=None), "labels.json: faces: is missing"),
        (document(faces={}), "labels.json: faces: expected a list, not an object"),
        (document(faces=["x"]), "labels.json: faces[0]: expected an object, not text"),
    ],
)
def test_each_mistake_in_the_file_is_told_with_its_place(content: object, said: str) -> None:
    assert mistakes(content) == [said]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"frame": 10}, "frame: is 10, but the labelled frames are 0 to 9"),
        ({"frame": -1}, "frame: is -1, but the labelled frames are 0 to 9"),
        ({"frame": 1.5}, "frame: expected a whole number, not 1.5"),
        ({"track": None}, "track: is missing"),
        ({"box": None}, "box: is missing"),
        ({"box": [1, 2, 3]}, "box: expected four numbers [x1, y1, x2, y2], not [1, 2, 3]"),
        ({"box": [1, 2, "3", 4]}, 'box: expected four numbers [x1, y1, x2, y2], not [1, 2, "3", 4]'),
        ({"box": [1, 2, math.nan, 4]}, "box: is not finite: [1, 2, NaN, 4]"),
        ({"box": [1, 2, math.inf, 4]}, "box: is not finite: [1, 2, Infinity, 4]"),
        ({"box": [9, 2, 9, 4]}, "box: has no area: [9, 2, 9, 4]"),
        ({"box": [9, 4, 12, 2]}, "box: has no area: [9, 4, 12, 2]"),
        ({"box": [300, 2, 322, 40]}, "box: reaches out of the 320x240 picture: [300, 2, 322, 40]"),
        ({"box": [-2, 2, 30, 40]}, "box: reaches out of the 320x240 picture: [-2, 2, 30, 40]"),
        ({"visibility": "dim"}, 'visibility: expected "clear" or "hard", not "dim"'),
        ({"visibility": None}, "visibility: is missing"),
        ({"kind": 3}, 'kind: expected "face" or "print", not 3'),
    ],
)
def test_each_mistake_in_a_face_is_told_with_its_place(changes: dict[str, object], said: str) -> None:
    place, _, message = said.partition(": ")
    assert mistakes(document(faces=[face_entry(frame=0), face_entry(**changes)])) == [
        f"labels.json: faces[1].{place}: {message}"
    ]


def test_a_number_without_end_is_not_finite() -> None:
    assert "faces[0].box: is not finite" in mistakes(document(faces=[face_entry(box=[0, 0, 10**400, 5])]))[0]


def test_a_track_has_one_box_in_a_frame() -> None:
    assert mistakes(document(faces=[face_entry(), face_entry()])) == [
        "labels.json: faces[1]: track 7 has two boxes in frame 3"
    ]


def test_all_mistakes_are_told_at_once() -> None:
    said = mistakes(document(width=1, sha256="no", faces=[face_entry(frame=99, kind="statue"), face_entry(box=[])]))
    assert [line.split(": ")[1] for line in said] == [
        "sha256",
        "width",
        "faces[0].frame",
        "faces[0].kind",
        "faces[1].box",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{\n 'frames': 3}", ":2: is not JSON: Expecting property name enclosed in double quotes"),
        (b"", ":1: is not JSON: Expecting value"),
        (b"\xff\xfe\x00", ": is not JSON: not UTF-8 text"),
        (b"[" * 200_000, ": is not JSON: nested too deeply, or a number without end"),
        (b'{"frames": ' + b"9" * 5000 + b"}", ": is not JSON: nested too deeply, or a number without end"),
    ],
)
def test_what_is_not_json_is_told_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(content)
    with pytest.raises(TruthError) as caught:
        read_truth(path, CLIP)
    assert str(caught.value) == f"{path}{said}"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "no.json", "there is no such file"), (tmp_path, "cannot be read: Is a directory")):
        with pytest.raises(TruthError) as caught:
            read_truth(path, CLIP)
        assert str(caught.value) == f"{path}: {said}"


def test_the_labels_at_hand_are_good(media: Path) -> None:
    files = sorted((media / "labels").glob("*.json"))
    assert files
    for path in files:
        told = json.loads(path.read_text())
        clip = ClipFacts(told["sha256"], told["width"], told["height"], told["frames"])
        assert len(read_truth(path, clip).labels) == len(told["faces"])
