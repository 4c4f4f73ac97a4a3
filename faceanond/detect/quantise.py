"""MTCNN's networks in 8-bit integers: from the published weights to the arrays that `native/networks.c` reads. Pure.

Affine quantisation as in Jacob et al. 2018 (arXiv 1712.05877), per channel. A value between layers is an unsigned byte
b that stands for step * (b - zero); the steps come from the ranges in `ranges.json`, values beyond which saturate.
Weights are signed bytes with one step per output. A layer's sum of bytes times weights is exact; one multiplication
and one addition per output turn it into steps of the output, where PReLU, which commutes with positive scaling, is
applied in floating point. The last layer's features and the answers stay in floating point.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from faceanond.detect.weights import Weights

Array = NDArray[np.float64]

BLOCK = 16
"""Outputs that one vector of the kernels holds."""
_QUAD = 4
"""Inputs that one multiplication of the kernels takes."""
_LARGEST = 127
_MEAN, _SPREAD = 127.5, 128.0
"""The networks see (pixel - mean) / spread."""
_LAYERS = {"pnet": 3, "rnet": 4, "onet": 5}
_INPUTS = {"pnet": (4, 12, 16), "rnet": (4, 28, 48, 64), "onet": (4, 32, 64, 64, 128)}
"""Bytes of each pixel that a layer reads: RGBX first, then the channels before it, filled up to quads."""

Range = tuple[Array, Array]
"""The lowest and the highest value of each channel before PReLU."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer for the kernels; `weights` lie in the order of use, the others hold one number per output."""

    weights: NDArray[np.int8]
    gain: NDArray[np.float32]
    shift: NDArray[np.float32]
    slope: NDArray[np.float32]
    offset: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Quantised:
    """One network: its layers, then `head` (5, features) and `bias` (5,) of the answers."""

    layers: tuple[Layer, ...]
    head: NDArray[np.float32]
    bias: NDArray[np.float32]


@functools.cache
def ranges() -> dict[str, list[Range]]:
    """What the layers' values were measured to be, by network; `ranges.json` says how."""
    file = json.loads((resources.files("faceanond.detect") / "ranges.json").read_text("utf-8"))
    return {
        name: [(np.asarray(low, np.float64), np.asarray(high, np.float64)) for low, high in file[name]]
        for name in _LAYERS
    }


def quantised(weights: Weights, name: str, measured: Sequence[Range]) -> Quantised:
    """The network `name` ("pnet", "rnet" or "onet"). `measured` has one range for each layer but the last."""
    arrays = [array.astype(np.float64) for array in getattr(weights, name)]
    count = _LAYERS[name]
    step, zero = np.full(_QUAD, 1 / _SPREAD), np.full(_QUAD, _MEAN)
    layers = []
    for index in range(count):
        kernel, bias, slopes = arrays[3 * index : 3 * index + 3]
        if kernel.ndim == 2:
            kernel = _dense_kernel(kernel, arrays[3 * index - 3].shape[-1])
        slopes = slopes.reshape(-1)
        last = index == count - 1
        into = (np.ones(len(slopes)), np.zeros(len(slopes))) if last else _byte(measured[index], slopes)
        layers.append(_layer((kernel, bias, slopes), (step, zero), into, _INPUTS[name][index]))
        step, zero = (_filled(numbers) for numbers in into)
    head, head_bias = _head(arrays[3 * count :])
    # The kernels read rows, whatever order numpy would keep.
    return Quantised(tuple(layers), np.ascontiguousarray(head, np.float32), head_bias.astype(np.float32))


def _dense_kernel(matrix: Array, channels: int) -> Array:
    """A dense layer as a convolution over the whole map; its rows come as width, height, channel."""
    side = round((len(matrix) / channels) ** 0.5)
    return matrix.reshape(side, side, channels, -1).transpose(1, 0, 2, 3)


def _byte(measured: Range, slopes: Array) -> tuple[Array, Array]:
    """Step and zero of each channel's byte, for the range after PReLU."""
    low, high = np.minimum(measured[0], 0), np.maximum(measured[1], 0)
    bottom = np.where(slopes >= 0, low * slopes, 0.0)
    top = np.maximum(high, np.where(slopes < 0, low * slopes, 0.0))
    step = np.maximum(top - bottom, 1e-3) / 255
    return step, -bottom / step


def _layer(
    arrays: tuple[Array, Array, Array], source: tuple[Array, Array], into: tuple[Array, Array], inputs: int
) -> Layer:
    """`arrays` are the kernel (rows, columns, in, out), biases and slopes; `source` and `into` are step and zero of
    each channel."""
    kernel, bias, slopes = arrays
    rows, columns, given, outputs = kernel.shape
    padded = np.zeros((rows, columns, inputs, outputs + -outputs % BLOCK))
    padded[:, :, :given, :outputs] = kernel * source[0][:given, None]
    step = np.maximum(np.abs(padded).max((0, 1, 2)), 1e-12) / _LARGEST
    whole = np.rint(padded / step)
    zeros = (whole * source[1][:inputs, None]).sum((0, 1, 2))
    real = _filled(into[0], 1.0)
    order = whole.reshape(rows, columns, inputs // _QUAD, _QUAD, -1, BLOCK).transpose(4, 0, 1, 2, 5, 3)
    floats = step / real, (_filled(bias) - zeros * step) / real, _filled(slopes), _filled(into[1])
    return Layer(np.ascontiguousarray(order, np.int8).reshape(-1), *(values.astype(np.float32) for values in floats))


def _filled(values: Array, filler: float = 0.0) -> Array:
    """The values, filled up to whole blocks."""
    return np.pad(values, (0, -len(values) % BLOCK), constant_values=filler)


def _head(arrays: Sequence[Array]) -> tuple[Array, Array]:
    """(5, features) and (5,): the difference of the two scores, then the four corrections."""
    box, box_bias, face, face_bias = *arrays[:2], *arrays[-2:]
    box, face = box.reshape(-1, 4), face.reshape(-1, 2)
    difference = face[:, 1:] - face[:, :1]
    return np.concatenate([difference, box], 1).T, np.concatenate([face_bias[1:] - face_bias[:1], box_bias])
