"""Measures faceanond/detect/ranges.json: how large the values between MTCNN's layers become where it matters.

    python -m benchmarks.ranges faceanond/detect/ranges.json ../shared/media/clips [FOLDER ...]

Frames of every clip in the folders go through the float cascade, as they are and changed in light, contrast, noise and
sharpness; what its networks looked at is then run through networks whose inner values are visible. Only windows whose
score comes near a decision count, since a range that also held every bright edge of a wall would waste the 256 steps.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from faceanond.config.model import DetectOptions
from faceanond.detect.cache import mtcnn_graphs
from faceanond.detect.mtcnn import Mtcnn
from faceanond.detect.mtcnn_networks import float_networks
from faceanond.detect.networks import Answers, FloatNetworks, Pixels, Runner
from faceanond.detect.protocol import DetectRequest
from faceanond.detect.session import choose_device
from faceanond.detect.weights import Weights, load_weights
from faceanond.errors import DetectionError
from tests.frames_util import POSES, Rgb, posed, raw

FRAMES = 6
"""Of each clip."""
NEAR = 3.0
"""A window counts when its score difference is above minus this."""
MOST = 200
"""Windows of one run that count; more of the same picture would tell nothing new."""
VALUES = 50
"""Of each channel and window that are kept."""
SHARE = 99.99
"""Percentile of the values that the range holds."""
_POOLS = {
    "pnet": [(2, True), None, None],
    "rnet": [(3, True), (3, False), None],
    "onet": [(3, True), (3, False), (2, True), None],
}
_FIELD = {"pnet": [(2, 10), (1, 3)]}
"""P-Net's layers but the last: distance and number of the values that one cell looks at, along a side."""

Values = list[NDArray[np.float32]]


class Open:
    """One network in float32 as it was published, whose values before each PReLU are visible if `shown`."""

    def __init__(self, weights: Weights, name: str, *, shown: bool = True) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        arrays = [array.astype(np.float64) for array in getattr(weights, name)]
        values = []
        tensor, channels = "x", 3
        for index, pool in enumerate(_POOLS[name]):
            kernel, bias, slopes = arrays[3 * index : 3 * index + 3]
            if index == 0:
                kernel, bias = kernel / 128, bias - kernel.sum((0, 1, 2)) * 127.5 / 128
            values.append(self._conv(tensor, kernel, bias))
            tensor, channels = self._prelu(values[-1], slopes), kernel.shape[-1]
            if pool is not None:
                padding = "SAME_UPPER" if pool[1] else "VALID"
                tensor = self._node("MaxPool", tensor, kernel_shape=[pool[0]] * 2, strides=[2, 2], auto_pad=padding)
        rest = arrays[3 * len(_POOLS[name]) :]
        if name != "pnet":
            dense, bias, slopes = rest[:3]
            kernel = dense.reshape(3, 3, channels, -1).transpose(1, 0, 2, 3)
            values.append(self._conv(tensor, kernel, bias))
            tensor, rest = self._prelu(values[-1], slopes), rest[3:]
        face, face_bias, box, box_bias = rest[-2].reshape(-1, 2), rest[-1], rest[0].reshape(-1, 4), rest[1]
        kernel = np.concatenate([face[:, 1:] - face[:, :1], box], axis=1)[None, None]
        values.append(self._conv(tensor, kernel, np.concatenate([face_bias[1:] - face_bias[:1], box_bias])))
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            name,
            [value("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
            [value(output, TensorProto.FLOAT, None) for output in (values if shown else values[-1:])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        self.model = bytes(model.SerializeToString())
        self._session = ort.InferenceSession(self.model, providers=["CPUExecutionProvider"])

    def run(self, pictures: NDArray[np.uint8]) -> Values:
        """RGBX pictures to the values before each PReLU, then the score difference and the corrections."""
        planar = pictures[..., :3].transpose(0, 3, 1, 2).astype(np.float32)
        return list(self._session.run(None, {"x": planar}))

    def _node(self, operator: str, *inputs: str, **attributes: object) -> str:
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def _constant(self, array: NDArray[np.float64]) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def _conv(self, tensor: str, kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> str:
        return self._node("Conv", tensor, self._constant(kernel.transpose(3, 2, 0, 1)), self._constant(bias))

    def _prelu(self, tensor: str, slopes: NDArray[np.float64]) -> str:
        return self._node("PRelu", tensor, self._constant(slopes.reshape(-1, 1, 1)))


def frames(folders: list[Path]) -> Iterator[Rgb]:
    """FRAMES of each clip, evenly spread, and the packaged face in all poses."""
    yield from (posed(name) for name in POSES)
    for clip in sorted(path for folder in folders for path in folder.iterdir() if path.suffix in (".mp4", ".mkv")):
        video = cv2.VideoCapture(str(clip))
        count = min(int(video.get(cv2.CAP_PROP_FRAME_COUNT)) or 60, 1000)
        wanted = {int((i + 0.5) * count / FRAMES) for i in range(FRAMES)}
        for index in range(max(wanted) + 1):
            if not video.grab():
                break
            if index in wanted:
                yield np.ascontiguousarray(video.retrieve()[1][:, :, ::-1], dtype=np.uint8)


def changed(rgb: Rgb, index: int) -> Iterator[Rgb]:
    """The picture, and one of several changes of it, by turns."""
    noise = np.random.default_rng(index).normal(0, 8, rgb.shape)
    light = rgb.astype(np.float64)
    changes = (
        lambda: (light / 255) ** 1.5 * 120 + noise,
        lambda: light * 1.7 + 20,
        lambda: (light - 128) * 0.5 + 128,
        lambda: (light - 128) * 2 + 128,
        lambda: cv2.GaussianBlur(light, (0, 0), 1.5),
        lambda: light + 2 * noise,
        lambda: light * [1.3, 1.0, 0.7],
        lambda: light.mean(axis=2, keepdims=True).repeat(3, axis=2),
    )
    yield rgb
    yield np.clip(changes[index % len(changes)](), 0, 255).astype(np.uint8)


class Watched:
    """A network that notes what it looks at."""

    def __init__(self, network: Runner, seen: list[Pixels]) -> None:
        self._network = network
        self._seen = seen
        self.most = network.most

    def warm_up(self) -> None:
        self._network.warm_up()

    def run(self, pictures: Pixels) -> Answers:
        self._seen.append(pictures.copy())
        return self._network.run(pictures)


def near(name: str, values: Values) -> Values:
    """The values (channels, n) of each layer but the last that the windows near a decision look at."""
    score = values[-1]
    places = np.argwhere(score[:, 0] > -NEAR)
    if len(places) > MOST:
        places = places[np.random.default_rng(0).choice(len(places), MOST, replace=False)]
    found: list[list[NDArray[np.float32]]] = [[] for _ in values[:-1]]
    for picture, row, column in places:
        for index, value in enumerate(values[: len(found)]):
            part = value[picture]
            if name == "pnet" and index < 2:
                distance, count = _FIELD[name][index]
                top, left = row * distance, column * distance
                part = part[:, top : top + count, left : left + count]
            elif name == "pnet":
                continue
            part = part.reshape(len(part), -1)
            found[index].append(part[:, :: max(1, part.shape[1] // VALUES)])
    return [np.concatenate(parts, axis=1) if parts else np.empty((0, 0), np.float32) for parts in found]


def main() -> None:
    folders = [Path(argument) for argument in sys.argv[2:]]
    seen: dict[str, list[Pixels]] = {"pnet": [], "rnet": [], "onet": []}
    opened_networks = float_networks(mtcnn_graphs(), choose_device("cpu", 2))
    watched = FloatNetworks(**{name: Watched(getattr(opened_networks, name), looks) for name, looks in seen.items()})
    detector = Mtcnn(watched, "cpu")
    weights = load_weights()
    opened = {name: Open(weights, name) for name in seen}
    values: dict[str, list[Values]] = {name: [] for name in seen}
    for index, rgb in enumerate(frames(folders)):
        for picture in changed(rgb, index):
            for min_size in (24, 48):
                with contextlib.suppress(DetectionError):  # a change may make too much look like a face
                    detector.detect([DetectRequest(raw(picture), DetectOptions(min_size=min_size))])
        for name, looks in seen.items():
            values[name] += [found for look in looks if (found := near(name, opened[name].run(look)))[0].size]
            looks.clear()
    result: dict[str, object] = {
        "how": [
            "The lowest and the highest value of each channel before PReLU, layer by layer, the last one left out:",
            f"percentiles {100 - SHARE:.4g} and {SHARE:g} over the windows whose score difference is above {-NEAR:g}.",
            "Made by benchmarks/ranges.py from the real clips and the packaged face; its text says more.",
        ]
    }
    for name, runs in values.items():
        result[name] = [
            [[float(f"{number:.4g}") for number in np.percentile(joined, q, axis=1)] for q in (100 - SHARE, SHARE)]
            for joined in (np.concatenate([run[layer] for run in runs], axis=1) for layer in range(len(runs[0]) - 1))
        ]
    Path(sys.argv[1]).write_text(json.dumps(result, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
