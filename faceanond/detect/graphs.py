"""MTCNN's three networks as ONNX graphs, written so that ONNX Runtime's fast CPU kernels do all the work.

Inputs are RGB, NCHW, float32 in 0..255; the normalisation (x - 127.5) / 128 is folded into the first layer. Outputs
hold five channels: the difference of the two class scores (face minus background: its sigmoid is the probability that
softmax would give), then the four box corrections (x1, y1, x2, y2, in box sides).

PReLU is rewritten, because ONNX Runtime's own kernel is scalar and leaves the blocked memory layout (docs/design/
detection.md has the times). Everything below is exact but for rounding:
  slope a <= 1:  prelu(z) = max(z, a z) = z + relu((a - 1) z)    a depthwise convolution with relu, and a sum
  slope a >  1:  prelu(z) = a z + (1 - a) relu(z)                both parts as channels of their own; the next layer's
                                                                 weights mix them
In P-Net the first slopes are applied behind the pool, where the picture is four times smaller: for a >= 0 prelu grows
with z, so pool and prelu change places; for a < 0, max prelu(z) = max(max z, |a| max -z), and the -z are channels that
the blocked layout (16 wide) had room for anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from faceanond.detect.session import PIXELS
from faceanond.detect.weights import Weights

VERSION = "1"
"""Changes with every change of the graphs, so that no stale cache is used."""
INPUT = "pictures"
OUTPUT = "answers"
CHANNELS = 5

_OPSET = 17
_IR_VERSION = 8
_MEAN, _SPREAD = 127.5, 128.0
_BLOCK = 16
"""Channels in one block of the fast layout (with AVX-512; narrower machines use 8)."""

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class _Features:
    """A tensor inside a graph. `mix` (channels, features) turns its channels into the features of the layer."""

    tensor: str
    mix: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """One convolution and the slopes of the prelu behind it."""

    kernel: Array
    bias: Array
    slopes: Array


class _Graph:
    """Collects nodes and constants."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, array: Array) -> str:
        name = f"c{len(self._constants)}"
        data = np.ascontiguousarray(array, dtype=array.dtype if array.dtype == np.int64 else np.float32)
        self._constants.append(numpy_helper.from_array(data, name))
        return name

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def conv(self, tensor: str, kernel: Array, bias: Array, output: str | None = None) -> str:
        """A convolution without padding; `kernel` is (height, width, in, out)."""
        weights = self.constant(np.transpose(kernel, (3, 2, 0, 1)))
        return self.node("Conv", tensor, weights, self.constant(bias), output=output)

    def pool(self, tensor: str, size: int, *, same: bool) -> str:
        padding = "SAME_UPPER" if same else "VALID"
        return self.node("MaxPool", tensor, kernel_shape=[size, size], strides=[2, 2], auto_pad=padding)

    def bend(self, tensor: str, slopes: Array) -> str:
        """prelu for slopes up to 1, channel by channel."""
        count = len(slopes)
        weights = self.constant((slopes - 1).reshape(count, 1, 1, 1))
        scaled = self.node("Conv", tensor, weights, self.constant(np.zeros(count)), group=count)
        return self.node("Add", tensor, self.node("Relu", scaled))

    def model(self, size: int | None) -> bytes:
        """The graph as a file; `size` is the picture's side, None for any."""
        sides: list[str | int] = ["height", "width"] if size is None else [size, size]
        shape: list[str | int] = ["batch", CHANNELS] if size else ["batch", CHANNELS, "rows", "columns"]
        graph = helper.make_graph(
            self._nodes,
            "mtcnn",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", 3, *sides])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def from_pixels(model: bytes) -> bytes:
    """The network with RGBX bytes as input, (n, rows, columns, 4): a GPU is sent a quarter of the bytes so, and turns
    them into what the network wants by itself."""
    network = onnx.load_from_string(model)
    graph = network.graph
    _, _, height, width = (side.dim_param or side.dim_value for side in graph.input[0].type.tensor_type.shape.dim)
    del graph.input[:]
    shape: list[str | int] = ["batch", height, width, 4]
    graph.input.append(helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, shape))
    bounds = {"first": [0], "end": [3], "axis": [1]}
    graph.initializer.extend(numpy_helper.from_array(np.array(v, np.int64), f"{PIXELS}_{k}") for k, v in bounds.items())
    before = [
        helper.make_node("Cast", [PIXELS], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Slice", ["planes", *(f"{PIXELS}_{name}" for name in bounds)], [INPUT]),
    ]
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(network)
    return bytes(network.SerializeToString())


def build_pnet(weights: Weights) -> bytes:
    """Proposals: (n, 3, h, w) to (n, 5, rows, columns); each cell looks at 12x12 pixels, cells are 2 pixels apart."""
    blocks, (box, box_bias, face, face_bias) = _blocks(weights.pnet, 3)
    graph = _Graph()
    features = _pooled_prelu(graph, blocks[0])
    for block in blocks[1:]:
        features = _prelu(graph, features, block)
    kernel, bias = _head(face, face_bias, box, box_bias)
    graph.conv(features.tensor, _mixed(kernel, features.mix), bias, output=OUTPUT)
    return graph.model(None)


def build_rnet(weights: Weights) -> bytes:
    """Refinement: (n, 3, 24, 24) to (n, 5)."""
    blocks, (dense, dense_bias, slopes, box, box_bias, face, face_bias) = _blocks(weights.rnet, 3)
    graph = _Graph()
    features = _prelu(graph, _INPUT_FEATURES, blocks[0], pool=(3, True))
    features = _prelu(graph, features, blocks[1], pool=(3, False))
    features = _prelu(graph, features, blocks[2])
    _dense(graph, features, _Block(dense, dense_bias, slopes), _head(face, face_bias, box, box_bias))
    return graph.model(24)


def build_onet(weights: Weights) -> bytes:
    """Output: (n, 3, 48, 48) to (n, 5). The five landmarks are left out: nothing here uses them."""
    blocks, (dense, dense_bias, slopes, box, box_bias, _, _, face, face_bias) = _blocks(weights.onet, 4)
    graph = _Graph()
    features = _prelu(graph, _INPUT_FEATURES, blocks[0], pool=(3, True))
    features = _prelu(graph, features, blocks[1], pool=(3, False))
    features = _prelu(graph, features, blocks[2], pool=(2, True))
    features = _prelu(graph, features, blocks[3])
    _dense(graph, features, _Block(dense, dense_bias, slopes), _head(face, face_bias, box, box_bias))
    return graph.model(48)


_INPUT_FEATURES = _Features(INPUT, np.eye(3))


def _blocks(arrays: Sequence[Array], count: int) -> tuple[list[_Block], list[Array]]:
    """The first `count` convolutions, with the pictures' normalisation folded into the first, and the other arrays."""
    blocks = [_Block(*(a.astype(np.float64) for a in arrays[3 * i : 3 * i + 3])) for i in range(count)]
    first = blocks[0]
    blocks[0] = _Block(
        first.kernel / _SPREAD, first.bias - first.kernel.sum(axis=(0, 1, 2)) * (_MEAN / _SPREAD), first.slopes
    )
    return blocks, [array.astype(np.float64) for array in arrays[3 * count :]]


def _mixed(kernel: Array, mix: Array) -> Array:
    """The kernel for the channels of a tensor, from the kernel for the features in them."""
    return np.asarray(np.einsum("kc,...co->...ko", mix, kernel))


def _prelu(graph: _Graph, features: _Features, block: _Block, *, pool: tuple[int, bool] | None = None) -> _Features:
    """Convolution, prelu and perhaps a pool (its size, and whether it pads)."""
    slopes = block.slopes.reshape(-1)
    steep = np.flatnonzero(slopes > 1)
    kernel = _mixed(block.kernel, features.mix)
    # A depthwise convolution keeps the blocked layout only when the channels fill whole blocks.
    spare = -(len(slopes) + len(steep)) % _BLOCK
    tensor = graph.conv(
        features.tensor,
        np.concatenate([kernel, kernel[..., steep], np.zeros((*kernel.shape[:-1], spare))], axis=-1),
        np.concatenate([block.bias, block.bias[steep], np.zeros(spare)]),
    )
    # Steep channels pass as they are (slope 1), their copies as relu (slope 0): both grow with z, as a pool needs it.
    tensor = graph.bend(tensor, np.concatenate([np.where(slopes > 1, 1.0, slopes), np.zeros(len(steep) + spare)]))
    if pool is not None:
        tensor = graph.pool(tensor, pool[0], same=pool[1])
    mix = _steep_mix(slopes, steep)
    return _Features(tensor, np.concatenate([mix, np.zeros((spare, len(slopes)))]))


def _steep_mix(slopes: Array, steep: NDArray[np.intp]) -> Array:
    count = len(slopes)
    mix = np.concatenate([np.eye(count), np.zeros((len(steep), count))])
    mix[steep, steep] = slopes[steep]
    mix[count + np.arange(len(steep)), steep] = 1 - slopes[steep]
    return mix


def _pooled_prelu(graph: _Graph, block: _Block) -> _Features:
    """Convolution, 2x2 pool, then prelu (see the module's text)."""
    slopes = block.slopes.reshape(-1)
    count = len(slopes)
    steep, falling = np.flatnonzero(slopes > 1), np.flatnonzero(slopes < 0)
    tensor = graph.conv(
        INPUT,
        np.concatenate([block.kernel, -block.kernel[..., falling]], axis=-1),
        np.concatenate([block.bias, -block.bias[falling]]),
    )
    pooled = graph.pool(tensor, 2, same=True)
    outputs = count + len(steep)
    linear = np.zeros((1, 1, count + len(falling), outputs))
    bent = np.zeros_like(linear)
    linear[0, 0, :count, :count] = np.eye(count)
    for channel, slope in enumerate(slopes):
        if slope < 0:
            bent[0, 0, channel, channel] = -1
            bent[0, 0, count + int(np.searchsorted(falling, channel)), channel] = -slope
        elif slope <= 1:
            bent[0, 0, channel, channel] = slope - 1
        else:
            bent[0, 0, channel, count + int(np.searchsorted(steep, channel))] = 1
    nothing = np.zeros(outputs)
    tensor = graph.node(
        "Add", graph.node("Relu", graph.conv(pooled, bent, nothing)), graph.conv(pooled, linear, nothing)
    )
    return _Features(tensor, _steep_mix(slopes, steep))


def _head(face: Array, face_bias: Array, box: Array, box_bias: Array) -> tuple[Array, Array]:
    """One layer of five outputs from the two of the original."""
    difference = face[..., 1:] - face[..., :1]
    return np.concatenate([difference, box], axis=-1), np.concatenate([face_bias[1:] - face_bias[:1], box_bias])


def _dense(graph: _Graph, features: _Features, dense: _Block, head: tuple[Array, Array]) -> None:
    """The two dense layers. The first one's rows are put from (width, height, channel) into ONNX's flattening order
    (channel, height, width), which saves the transpose."""
    channels, outputs = features.mix.shape[1], dense.kernel.shape[1]
    side = round((dense.kernel.shape[0] / channels) ** 0.5)
    rows = _mixed(dense.kernel.reshape(side, side, channels, outputs), features.mix).transpose(2, 1, 0, 3)
    flat = graph.node("Flatten", features.tensor)
    tensor = graph.node("Gemm", flat, graph.constant(rows.reshape(-1, outputs)), graph.constant(dense.bias))
    if dense.slopes.max() > 1:
        raise ValueError("a dense layer's slope above 1 was not foreseen")
    tensor = graph.node("Max", tensor, graph.node("Mul", tensor, graph.constant(dense.slopes)))
    graph.node("Gemm", tensor, graph.constant(head[0]), graph.constant(head[1]), output=OUTPUT)
