"""Small networks with the inputs and outputs of the published ones, and where those are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from faceanond.detect.model_files import OFFICIAL, data_folder
from tests.conftest import MEDIA

YUNET_FEATURES = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
CENTERFACE_FEATURES = {"537": 1, "538": 2, "539": 2, "540": 10}


def published(name: str) -> Path | None:
    """The official file, beside the clips or where `faceanond fetch-model` has put it."""
    places = (MEDIA.parent / "models", data_folder())
    return next((place / OFFICIAL[name].file for place in places if (place / OFFICIAL[name].file).is_file()), None)


class Drawing:
    """Collects a graph's nodes and weights; every weight is random, but the same each time."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(5)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[TensorProto] = []

    def constant(self, name: str, array: NDArray[np.generic]) -> str:
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def grid(self, source: str, name: str, features: int, step: int) -> str:
        """One answer of so many features for each step x step pixels."""
        kernel = (self._random.random((features, 3, step, step)) / (255 * 3 * step * step)).astype(np.float32)
        weights = self.constant(f"{name}.weight", kernel)
        self.nodes.append(helper.make_node("Conv", [source, weights], [name], strides=[step, step]))
        return name

    def file(
        self, source: str, sizes: Sequence[int], outputs: dict[str, Sequence[int]], *, weights_as_inputs: bool = False
    ) -> bytes:
        inputs = [helper.make_tensor_value_info(source, TensorProto.FLOAT, list(sizes))]
        if weights_as_inputs:
            inputs += [helper.make_tensor_value_info(one.name, one.data_type, list(one.dims)) for one in self.weights]
        declared = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(d)) for name, d in outputs.items()]
        graph = helper.make_graph(self.nodes, "small", inputs, declared, self.weights)
        opset = helper.make_opsetid("", 11)
        return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=6).SerializeToString())


def like_yunet(*, source: str = "input", without: str = "", rank: int = 3, finest: int = 8) -> bytes:
    """Declared for one picture of 64x64, as the published file is for one of 640x640. `finest` is the true step of what
    is called 8."""
    drawing = Drawing()
    outputs: dict[str, Sequence[int]] = {}
    for kind, features in YUNET_FEATURES.items():
        shape = drawing.constant(f"{kind}.shape", np.array([1, -1, features][:rank], np.int64))
        for step in (8, 16, 32):
            name = f"{kind}_{step}"
            grid = drawing.grid(source, f"{name}.grid", features, max(step, finest))
            drawing.nodes += [
                helper.make_node("Transpose", [grid], [f"{name}.rows"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{name}.rows", shape], [name]),
            ]
            if name != without:
                outputs[name] = [1, (64 // step) ** 2, features][:rank]
    return drawing.file(source, [1, 3, 64, 64], outputs)


def like_centerface(*, source: str = "input.1", features: dict[str, int] = CENTERFACE_FEATURES) -> bytes:
    """Declared for ten pictures of 32x32, with its weights as inputs, as the published file is."""
    drawing = Drawing()
    for name, count in features.items():
        drawing.grid(source, name, count, 4)
    outputs = {name: [10, count, 8, 8] for name, count in features.items()}
    return drawing.file(source, [10, 3, 32, 32], outputs, weights_as_inputs=True)
