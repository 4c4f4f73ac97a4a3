"""The official files, where this machine has them: what they find, and that company changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceanond.config.detectors import FILE_DETECTORS
from faceanond.config.model import DetectOptions
from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect.factory import open_detector
from faceanond.detect.known import OPTIONS, known_faces
from faceanond.detect.protocol import Detector, DetectRequest
from faceanond.frames import Face
from tests.detect.networks import published
from tests.frames_util import POSES, Rgb, posed, raw

FACE = (180, 65, 271, 175)
"""The packaged face in its own picture, to about five pixels."""


@pytest.fixture(scope="module", params=FILE_DETECTORS)
def official(request: pytest.FixtureRequest) -> Iterator[Detector]:
    path = published(request.param)
    if path is None:
        pytest.skip(f"the official file of {request.param} is not on this machine")
    opened = open_detector(DetectorConfig(name=(request.param,), model=str(path), device="cpu", threads=1))
    yield opened
    opened.close()


def detect(detector: Detector, *pictures: Rgb, options: DetectOptions | None = None) -> list[tuple[Face, ...]]:
    return detector.detect([DetectRequest(raw(picture), options or DetectOptions()) for picture in pictures])


def where(name: str) -> tuple[float, float]:
    """The middle of the packaged face in that pose."""
    scale, mirrored, right, down, _, _ = POSES[name]
    x = (FACE[0] + FACE[2]) / 2
    return scale * (512 - x if mirrored else x) + right, scale * (FACE[1] + FACE[3]) / 2 + down


@pytest.mark.parametrize("name", [name for name in POSES if "edge" not in name])
def test_the_packaged_face_is_found_in_its_place(official: Detector, name: str) -> None:
    ((face,),) = detect(official, posed(name))
    x, y = where(name)
    side = POSES[name][0] * 91
    assert face.score > 0.7
    assert np.hypot((face.box.x1 + face.box.x2) / 2 - x, (face.box.y1 + face.box.y2) / 2 - y) < 0.2 * side
    assert 0.75 * side < face.box.width < 1.35 * side


@pytest.mark.parametrize("name", ["astronaut 1.0 at the left edge", "astronaut 1.0 at the upper edge"])
def test_a_face_that_the_edge_cuts_is_found(official: Detector, name: str) -> None:
    (faces,) = detect(official, posed(name))
    assert len(faces) == 1


def test_a_face_that_fills_a_large_picture_is_found(official: Detector) -> None:
    (faces,) = detect(official, posed("astronaut 3.0 mirrored"), options=DetectOptions(min_size=12))
    assert any(face.box.width > 250 for face in faces)


def test_the_batchs_company_changes_not_a_bit(official: Detector) -> None:
    pictures = [posed(name) for name in POSES]
    alone = [detect(official, picture)[0] for picture in pictures]
    assert detect(official, *pictures) == alone
    assert detect(official, *reversed(pictures)) == alone[::-1]
    assert detect(official, *pictures[:1] * 5) == alone[:1] * 5


def test_plain_grey_holds_no_face(official: Detector) -> None:
    assert detect(official, np.full((300, 400, 3), 128, np.uint8)) == [()]


def test_the_known_face_is_found_wherever_it_is_shown(official: Detector) -> None:
    for known in known_faces():
        ((face,),) = official.detect([DetectRequest(known.frame, OPTIONS)])
        assert face.score > 0.8
        middle = (face.box.x1 + face.box.x2) / 2, (face.box.y1 + face.box.y2) / 2
        assert known.box.x1 < middle[0] < known.box.x2
        assert known.box.y1 < middle[1] < known.box.y2


def test_the_union_with_mtcnn_covers_what_each_covers(official: Detector) -> None:
    path = str(published(official.name))
    both = open_detector(DetectorConfig(name=("mtcnn", official.name), model=path, device="cpu", threads=1))
    mtcnn = open_detector(DetectorConfig(device="cpu", threads=1))
    pictures = [posed(name) for name in POSES]
    for alone in (official, mtcnn):
        for faces, together in zip(detect(alone, *pictures), detect(both, *pictures), strict=True):
            for face in faces:
                assert any(
                    other.box.x1 <= face.box.x1
                    and other.box.y1 <= face.box.y1
                    and other.box.x2 >= face.box.x2
                    and other.box.y2 >= face.box.y2
                    for other in together
                )
    mtcnn.close()
    both.close()


def labelled(folder: Path) -> Iterator[tuple[Rgb, list[tuple[float, ...]]]]:
    """Every tenth labelled frame of some clips, with its clear faces of at least 40 pixels."""
    for clip in ("asl_bird.mkv", "face-demographics-walking-and-pause.mp4", "short_hamilton_clip.mp4"):
        labels = json.loads((folder / "labels" / f"{clip}.json").read_text(encoding="utf-8"))
        reader = cv2.VideoCapture(str(folder / "clips" / clip))
        for index in range(labels["frames"]):
            assert reader.grab(), f"{clip} ends before frame {index}"
            if index % 10 == 0:
                _, bgr = reader.retrieve()
                yield (
                    np.ascontiguousarray(bgr[:, :, ::-1], np.uint8),
                    [
                        tuple(face["box"])
                        for face in labels["faces"]
                        if face["frame"] == index
                        and (face["kind"], face["visibility"]) == ("face", "clear")
                        and face["box"][2] - face["box"][0] >= 40
                    ],
                )


def test_nearly_all_clear_faces_of_real_clips_are_covered(official: Detector, media: Path) -> None:
    wanted = covered = 0
    for picture, faces in labelled(media):
        (found,) = detect(official, picture)
        grown = [face.box.grown(0.25) for face in found]
        wanted += len(faces)
        covered += sum(
            any(box.x1 <= x1 and box.y1 <= y1 and box.x2 >= x2 and box.y2 >= y2 for box in grown)
            for x1, y1, x2, y2 in faces
        )
    assert wanted > 50
    assert covered / wanted >= 0.97
