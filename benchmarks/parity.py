"""Writes tests/detect/reference_boxes.json: what two independent MTCNNs find on the pictures that it names.

    python -m benchmarks.parity --clips ../shared/media/clips --python SCRATCH/bin/python

Then prints, picture by picture, how many faces each finds and how many of them the other finds. See `detection` for
the scratch environment.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.peers import OURS, Rows, clip_frames, peers
from tests.detect.agreement import REFERENCES, found
from tests.frames_util import POSES, Rgb, posed

FILE = Path("tests/detect/reference_boxes.json")
HOW = [
    "Boxes (x1, y1, x2, y2, score) of two independent MTCNNs, made by benchmarks/parity.py on one CPU thread:",
    "facenet-pytorch 2.6.0 on torch 2.13.0, and mtcnn 1.0.0 on tensorflow-cpu 2.21.0 (its pyramid stopped at 12 px).",
    "Smallest face 40 px, factor 0.709, thresholds 0.6, 0.7, 0.7; what each package needs is in benchmarks/worker.py.",
    "pictures 'astronaut ...': tests/frames_util.posed(name). Others: 'CLIP #N' is frame N of that clip as",
    "cv2.VideoCapture reads it, in RGB. Frames: int((i + 0.5) * min(frames, 200) / 14) for i in 0..13; three per clip",
    "without faces.",
]


def pictures(clips: Path, names: list[str]) -> dict[str, Rgb]:
    """The pictures by name, in the order of the names."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for name in names:
        clip, _, number = name.partition(" #")
        if number:
            wanted[clip].add(int(number))
    drawn = {name: posed(name) for name in POSES}
    drawn |= {f"{clip} #{number}": rgb for clip, number, rgb in clip_frames(clips, wanted)}
    return {name: drawn[name] for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description="makes the reference boxes, and the table of agreement")
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--python", required=True, help="the Python of the other detectors' environment")
    parser.add_argument("--cpu", type=int, default=0)
    arguments = parser.parse_args()
    names = list(json.loads(FILE.read_text("utf-8"))["pictures"])
    drawn = pictures(arguments.clips, names)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frames.npz"
        np.savez(file, **drawn)
        everyone = [*OURS, *REFERENCES]
        with peers(everyone, file, arguments.python, None, arguments.cpu) as started:
            boxes: dict[str, dict[str, Rows]] = {
                name: {who: peer.ask(name)[1] for who, peer in started.items()} for name in names
            }
    kept = {
        name: {
            who: [[round(value, 2) for value in row[:4]] + [round(row[4], 4)] for row in by[who]] for who in REFERENCES
        }
        for name, by in boxes.items()
    }
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(by, separators=(',', ':'))}" for name, by in kept.items())
    FILE.write_text(f'{{"how":{json.dumps(HOW)},\n"min_size":40,\n"pictures":{{\n{lines}\n}}}}\n', "utf-8")
    _print_table(boxes)


def _print_table(boxes: dict[str, dict[str, Rows]]) -> None:
    print(f"{'':46}" + "".join(f"{who:>18}" for who in OURS) + "".join(f"{who:>18}" for who in REFERENCES))
    totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for name, by in boxes.items():
        corners = {who: [tuple(row[:4]) for row in rows] for who, rows in by.items()}
        for ours in OURS:
            for other in REFERENCES:
                total = totals[ours, other]
                total[0] += len(corners[ours])
                total[1] += found(corners[ours], corners[other])
                total[2] += len(corners[other])
                total[3] += found(corners[other], corners[ours])
        cells = [str(len(corners[who])) for who in OURS]
        for other in REFERENCES:
            shared = found(corners[OURS[0]], corners[other])
            cells.append(f"{len(corners[other])}, shared {shared}")
        print(f"{name:46}" + "".join(f"{cell:>18}" for cell in cells))
    for (ours, other), (own, own_found, theirs, theirs_found) in totals.items():
        print(
            f"{ours} against {other}: {own_found} of our {own} found by it ({100 * own_found / own:.1f} %), "
            f"{theirs_found} of its {theirs} found by us ({100 * theirs_found / theirs:.1f} %)"
        )


if __name__ == "__main__":
    main()
