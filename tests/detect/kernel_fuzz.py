"""Calls the compiled kernels in as many shapes as it can think of. Run by test_native.py with a library that watches
every access to memory: `python -m tests.detect.kernel_fuzz LIBRARY ROUNDS`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from faceanond.detect import native
from faceanond.detect.boxes import suppressed, suppressed_by_smaller
from faceanond.detect.picture import Picture
from faceanond.detect.pyramid import levels
from faceanond.detect.quantise import quantised, ranges
from faceanond.detect.weights import load_weights
from tests.frames_util import raw


def main(library: Path, rounds: int) -> None:
    loaded = native._library(library)
    native._library = lambda: loaded  # type: ignore[assignment]
    if native.missing() is not None:
        raise SystemExit(native.missing())
    weights, measured, random = load_weights(), ranges(), np.random.default_rng(1)
    networks = native.networks_missing() is None
    if networks:
        proposer = native.Proposer(quantised(weights, "pnet", measured["pnet"]))
        classifiers = {side: native.Classifier(quantised(weights, name, measured[name]), side) for name, side in _SIDES}
    all_variants = native.variants()

    def bytes_of(*shape: int) -> native.Pixels:
        return random.integers(0, 256, shape, dtype=np.uint8)

    for number in range(rounds):
        variant = all_variants[number % len(all_variants)]
        native.variants = lambda variant=variant: (variant,)  # type: ignore[assignment,misc]
        height, width = (int(side) for side in random.integers(13, 300, 2))
        picture = Picture(raw(bytes_of(height, width, 3)))
        for level in levels(width, height, int(random.integers(12, 40)), float(random.uniform(0.5, 0.9))):
            pixels = picture.level(level)
            if networks:
                proposer.propose(pixels, float(random.uniform(-20, 5)), int(random.integers(1, 500)))
        lengths = np.exp(random.uniform(0, 7, 30))
        corners = random.uniform(-1, 1, (30, 2)) * np.array([width, height]) - random.uniform(0, 1, (30, 1)) * 50
        boxes = np.concatenate([corners, corners + lengths[:, None]], axis=1)
        for _, side in _SIDES:
            crops = picture.crops(boxes, side)[: int(random.integers(0, 31))]
            if networks:
                classifiers[side].classify(crops)
        suppressed(boxes, random.uniform(size=30), 0.5, random.integers(0, 3, 30))
        few = boxes[: int(random.integers(0, 31))]
        suppressed_by_smaller(few, random.uniform(size=len(few)), 0.5)
    print("done", rounds)


_SIDES = (("rnet", 24), ("onet", 48))

if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
