"""Whole detection against other MTCNNs: one run, one thread, one CPU, by turns, warm, real frames, medians.

    python -m benchmarks.detection --clips ../shared/media/clips --python SCRATCH/bin/python [--graph mtcnn.pb]

SCRATCH is an environment with `facenet-pytorch` (--no-deps, on torch), `mtcnn` and `tensorflow-cpu`; `mtcnn.pb` is the
frozen graph of tf-mtcnn that PeekingDuck runs. Each round shows every frame to every detector in turn, so a machine
that slows down for a while slows all of them down.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.peers import OURS, SIZES, peers, speed_frames

OTHERS = ("frozen-graph", "facenet-pytorch", "mtcnn")


def main() -> None:
    parser = argparse.ArgumentParser(description="times detectors against each other")
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--python", required=True, help="the Python of the other detectors' environment")
    parser.add_argument("--graph", type=Path, help="the frozen graph; left out without it")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cpu", type=int, default=0)
    arguments = parser.parse_args()
    names = [*OURS, *(name for name in OTHERS if name != "frozen-graph" or arguments.graph)]
    frames = speed_frames(arguments.clips)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frames.npz"
        np.savez(file, **frames)
        with peers(names, file, arguments.python, arguments.graph, arguments.cpu) as started:
            taken: dict[tuple[str, str], list[float]] = {}
            faces: dict[tuple[str, str], int] = {}
            for number in range(arguments.rounds + 1):
                for key in frames:
                    for name, peer in started.items():
                        seconds, rows = peer.ask(key)
                        faces[name, key] = len(rows)
                        if number:  # the first round is for warming up
                            taken.setdefault((name, key), []).append(1e3 * seconds)
    ms = {key: median(values) for key, values in taken.items()}
    for width, height in SIZES:
        keys = [key for key in frames if key.startswith(f"{width} ")]
        print(f"\n{width}x{height}, ms a frame (faces), median of {arguments.rounds}, one thread")
        print(f"{'':52}" + "".join(f"{name:>18}" for name in names))
        for key in keys:
            cells = (f"{ms[name, key]:.1f} ({faces[name, key]})" for name in names)
            print(f"{key.split(' ', 1)[1]:52}" + "".join(f"{cell:>18}" for cell in cells))
        middle = {name: median(ms[name, key] for key in keys) for name in names}
        print(f"{'median of the frames':52}" + "".join(f"{middle[name]:>18.1f}" for name in names))
        for ours in OURS:
            ratios = (f"{middle[name] / middle[ours]:.1f} x" for name in names)
            print(f"{'times the median of ' + ours:52}" + "".join(f"{ratio:>18}" for ratio in ratios))
        frame_by_frame = (f"{median(ms[name, key] / ms[OURS[0], key] for key in keys):.1f} x" for name in names)
        print(f"{'median of the frames ratios to faceanond':52}" + "".join(f"{r:>18}" for r in frame_by_frame))


if __name__ == "__main__":
    main()
