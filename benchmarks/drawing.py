"""Drawing and suppressing: each variant of the kernels against OpenCV and numpy, which run where there is no compiler.

    python -m benchmarks.drawing

One process, one thread, by turns; the packaged face in the frame's size, 300 squares of 25 to 245 pixels.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np

from faceanond.detect import native
from faceanond.detect.boxes import Boxes, plainly_suppressed
from faceanond.detect.picture import Picture
from faceanond.detect.pyramid import levels
from faceanond.frames import RawFrame
from tests.frames_util import packaged_face, raw

Jobs = dict[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description="times the drawing of levels and crops, and suppression")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--cpu", type=int, default=0)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.cpu})
    cv2.setNumThreads(1)
    random = np.random.default_rng(1)
    for width, height in ((1280, 720), (1920, 1080)):
        frame = raw(np.asarray(cv2.resize(packaged_face(), (width, height)), np.uint8))
        corners, lengths = random.uniform(0, [width, height], (300, 2)), np.exp(random.uniform(3.2, 5.5, (300, 1)))
        boxes = np.hstack([corners, corners + lengths])
        ways = {variant: prepared(frame, boxes, variant) for variant in native.variants()}
        ways["without"] = prepared(frame, boxes, None)
        taken: dict[tuple[str, str], list[float]] = {}
        for _ in range(arguments.rounds):
            for way, jobs in ways.items():
                for job, run in jobs.items():
                    start = time.perf_counter()
                    run()
                    taken.setdefault((job, way), []).append(1e3 * (time.perf_counter() - start))
        for job in ways["without"]:
            print(f"{width}x{height} {job}:", *(f"{way} {median(taken[job, way]):.3f} ms" for way in ways), sep="  ")


def prepared(frame: RawFrame, boxes: Boxes, variant: str | None) -> Jobs:
    """The jobs on a picture whose planes are halved already, so that only drawing is timed."""
    usual = native.variants
    if variant is not None:
        native.variants = lambda: (variant,)
    picture = Picture(frame, compiled=variant is not None)
    pyramid, order = levels(frame.width, frame.height, 40, 0.709), np.arange(len(boxes))
    for side in (24, 48):
        picture.crops(boxes, side)
    for level in pyramid:
        picture.level(level)
    native.variants = usual

    def suppress() -> object:
        if variant is None:
            return plainly_suppressed(boxes, order, 0.5)
        native.variants = lambda: (variant,)
        kept = native.unsuppressed(boxes, None, 0.5, smaller=False)
        native.variants = usual
        return kept

    return {
        "levels": lambda: [picture.level(level) for level in pyramid],
        "300 crops of 24": lambda: picture.crops(boxes, 24),
        "60 crops of 48": lambda: picture.crops(boxes[:60], 48),
        "300 boxes suppressed": suppress,
    }


if __name__ == "__main__":
    main()
