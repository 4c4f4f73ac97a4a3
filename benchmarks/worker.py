"""Runs one detector over a file of frames on one thread, as asked line by line. Standard library, numpy and the
detector's own package alone: each runs in an environment of its own.

    python worker.py NAME FRAMES.npz [--graph mtcnn.pb]

Reads a frame's key from each line of standard input and answers with a line of JSON: the seconds that it took and the
boxes (x1, y1, x2, y2, score). The first line says that it is ready. Settings are those of faceanond's defaults.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP", "OPENBLAS", "MKL", "TF_INTRAOP", "TF_INTEROP"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np  # noqa: E402 - the numbers of threads are read when libraries are loaded

MIN_SIZE, FACTOR, THRESHOLDS = 40, 0.709, (0.6, 0.7, 0.7)

Rows = list[list[float]]
Detect = Callable[[Any], Rows]
"""From what `prepare` made of an RGB frame (height, width, 3) to boxes with scores."""
Prepare = Callable[[Any], Any]


def faceanond(quantised: bool) -> tuple[Prepare, Detect]:
    """Ours. The frame is given as a decoder gives it, in YUV planes."""
    import cv2

    from faceanond.config.model import DetectOptions, Detector
    from faceanond.daemon.memory import keep_big_buffers
    from faceanond.detect.factory import open_detector
    from faceanond.detect.protocol import DetectRequest
    from tests.frames_util import raw

    keep_big_buffers()
    cv2.setNumThreads(1)
    detector = open_detector(Detector(device="cpu", threads=1, quantised=quantised))
    detector.warm_up()

    def detect(frame: Any) -> Rows:
        (faces,) = detector.detect([DetectRequest(frame, DetectOptions())])
        return [[face.box.x1, face.box.y1, face.box.x2, face.box.y2, face.score] for face in faces]

    return raw, detect


def facenet_pytorch() -> tuple[Prepare, Detect]:
    """PyPI `facenet-pytorch`, without torchvision, whose wheel does not fit: its suppression is replaced by a plain
    one with the same result."""
    import types

    import torch

    torch.set_num_threads(1)

    def nms(boxes: Any, scores: Any, limit: float) -> Any:
        order = torch.argsort(-scores)
        b, left, kept = boxes.numpy()[order.numpy()], np.arange(len(boxes)), []
        areas = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
        while len(left):
            i, rest = left[0], left[1:]
            kept.append(i)
            width = np.minimum(b[i, 2], b[rest, 2]) - np.maximum(b[i, 0], b[rest, 0])
            height = np.minimum(b[i, 3], b[rest, 3]) - np.maximum(b[i, 1], b[rest, 1])
            shared = np.maximum(width, 0) * np.maximum(height, 0)
            left = rest[shared / (areas[i] + areas[rest] - shared) <= limit]
        return order[torch.as_tensor(np.array(kept, dtype=np.int64))]

    def batched_nms(boxes: Any, scores: Any, groups: Any, limit: float) -> Any:
        if boxes.numel() == 0:
            return torch.empty((0,), dtype=torch.int64)
        return nms(boxes + (groups.to(boxes) * (boxes.max() + 1))[:, None], scores, limit)

    names = ("", ".ops", ".ops.boxes", ".transforms", ".transforms.functional", ".datasets")
    modules = {name: types.ModuleType(f"torchvision{name}") for name in names}
    for name in (".ops", ".ops.boxes"):
        vars(modules[name]).update(nms=nms, batched_nms=batched_nms)
    modules[""].ops, modules[""].transforms, modules[""].datasets = (  # type: ignore[attr-defined]
        modules[".ops"],
        modules[".transforms"],
        modules[".datasets"],
    )
    modules[".ops"].boxes = modules[".ops.boxes"]  # type: ignore[attr-defined]
    modules[".transforms"].functional = modules[".transforms.functional"]  # type: ignore[attr-defined]
    modules[".transforms.functional"].to_tensor = None  # type: ignore[attr-defined]
    sys.modules.update({f"torchvision{name}": module for name, module in modules.items()})
    from facenet_pytorch import MTCNN

    detector = MTCNN(
        min_face_size=MIN_SIZE, thresholds=list(THRESHOLDS), factor=FACTOR, keep_all=True, post_process=False
    )

    def detect(frame: Any) -> Rows:
        boxes, scores = detector.detect(frame)
        found = [] if boxes is None else zip(boxes, scores, strict=True)
        return [[*map(float, box), float(score)] for box, score in found]

    return _as_it_is, detect


def mtcnn_tensorflow() -> tuple[Prepare, Detect]:
    """PyPI `mtcnn` on TensorFlow. As published its pyramid goes below P-Net's 12 pixels for a smallest face above 28,
    which makes it answer "no faces"; here it stops there."""
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    import mtcnn.stages.stage_pnet as stage
    from mtcnn import MTCNN

    def pyramid(width: int, height: int, min_face_size: int, scale_factor: float, min_size: int = 12) -> Any:
        scales, scale = [], min_size / min_face_size
        while min(width, height) * scale > min_size:
            scales.append(scale)
            scale *= scale_factor
        return np.array(scales)

    stage.build_scale_pyramid = pyramid
    detector = MTCNN(device="CPU:0")
    options = dict(zip(("threshold_pnet", "threshold_rnet", "threshold_onet"), THRESHOLDS, strict=True))

    def detect(frame: Any) -> Rows:
        found = detector.detect_faces(frame, box_format="xyxy", min_face_size=MIN_SIZE, scale_factor=FACTOR, **options)
        return [[*map(float, face["box"]), float(face["confidence"])] for face in found]

    return _as_it_is, detect


def frozen_graph(path: Path) -> tuple[Prepare, Detect]:
    """The frozen TensorFlow graph that PeekingDuck runs; it looks at BGR."""
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    v1 = tensorflow.compat.v1
    graph = v1.GraphDef.FromString(path.read_bytes())

    def function(image: Any, smallest: Any, factor: Any, thresholds: Any) -> Any:
        inputs = {"input:0": image, "min_size:0": smallest, "thresholds:0": thresholds, "factor:0": factor}
        return v1.import_graph_def(graph, input_map=inputs, return_elements=["prob:0", "box:0"], name="")

    spec = tensorflow.TensorSpec
    shapes = [[None, None, 3], [], [], [3]]
    wrapped = v1.wrap_function(function, [spec(shape, tensorflow.float32) for shape in shapes])
    settings = [tensorflow.constant(value, tensorflow.float32) for value in (MIN_SIZE, FACTOR, THRESHOLDS)]

    def detect(frame: Any) -> Rows:
        scores, boxes = (value.numpy() for value in wrapped(tensorflow.constant(frame), *settings))
        return [
            [x1, y1, x2, y2, score] for (y1, x1, y2, x2), score in zip(boxes.tolist(), scores.tolist(), strict=True)
        ]

    return lambda frame: np.ascontiguousarray(frame[:, :, ::-1], dtype=np.float32), detect


def _as_it_is(frame: Any) -> Any:
    return frame


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("frames", type=Path)
    parser.add_argument("--graph", type=Path, default=Path("mtcnn.pb"))
    arguments = parser.parse_args()
    # Whatever the libraries print must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    makers: dict[str, Callable[[], tuple[Prepare, Detect]]] = {
        "faceanond": lambda: faceanond(True),
        "faceanond-float": lambda: faceanond(False),
        "facenet-pytorch": facenet_pytorch,
        "mtcnn": mtcnn_tensorflow,
        "frozen-graph": lambda: frozen_graph(arguments.graph),
    }
    prepare, detect = makers[arguments.name]()
    frames = dict(np.load(arguments.frames))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        frame = prepare(frames[line.rstrip("\n")])
        start = time.perf_counter()
        found = detect(frame)
        print(json.dumps([time.perf_counter() - start, found]), file=answers, flush=True)


if __name__ == "__main__":
    main()
