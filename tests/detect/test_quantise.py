"""The 8-bit networks: their arrays, computed the long way, against the float networks and against the kernels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from faceanond.detect import mtcnn, proposals
from faceanond.detect.cache import Graphs
from faceanond.detect.native import Classifier, Proposer
from faceanond.detect.networks import Answers, Pixels, Planar
from faceanond.detect.picture import Picture
from faceanond.detect.quantise import Layer, Quantised, quantised, ranges
from faceanond.detect.session import Device, Network
from faceanond.detect.weights import Weights, load_weights
from tests.frames_util import posed, raw

Floats = NDArray[np.float64]

SHAPES = {
    # Side of the kernel, bytes read of each pixel, pool (size, whether it pads) of each layer.
    "pnet": [(3, 4, (2, True)), (3, 12, None), (3, 16, None)],
    "rnet": [(3, 4, (3, True)), (3, 28, (3, False)), (2, 48, None), (3, 64, None)],
    "onet": [(3, 4, (3, True)), (3, 32, (3, False)), (3, 64, (2, True)), (2, 64, None), (3, 128, None)],
}
CPU = Device("cpu", 1)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights()


def network(weights: Weights, name: str) -> Quantised:
    return quantised(weights, name, ranges()[name])


def looks(side: int) -> Pixels:
    """What R- and O-Net are shown: squares around the packaged face, and others."""
    random = np.random.default_rng(5)
    centres = np.concatenate([random.normal((220, 125), 12, (48, 2)), random.uniform(60, 450, (48, 2))])
    half = random.uniform(40, 80, (96, 1))
    return Picture(raw(posed("astronaut 1.0"))).crops(np.hstack([centres - half, centres + half]), side)


def level() -> Pixels:
    rgb = posed("astronaut 0.35")[:120, :144]
    return np.ascontiguousarray(np.dstack([rgb, np.full(rgb.shape[:2], 7, np.uint8)]))


def summed(x: NDArray[np.uint8], layer: Layer, size: int, inputs: int) -> Floats:
    """The layer's convolution in whole numbers: (n, height, width, in) to (n, height, width, out)."""
    kernel = layer.weights.reshape(-1, size, size, inputs // 4, 16, 4).transpose(1, 2, 3, 5, 0, 4)
    kernel = kernel.reshape(-1, kernel.shape[-2] * 16).astype(np.float64)
    # Whole numbers of this size are exact in float64, which is multiplied far faster.
    windows = np.lib.stride_tricks.sliding_window_view(x[..., :inputs].astype(np.float64), (size, size), axis=(1, 2))
    return np.asarray(windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], -1) @ kernel)


def bent(sums: Floats, layer: Layer) -> Floats:
    z = sums * layer.gain + layer.shift
    return np.where(z < 0, z * layer.slope, z)


def pooled(x: Floats, size: int, *, same: bool) -> Floats:
    height, width = x.shape[1:3]
    rows, columns = (-(-side // 2) if same else (side - size) // 2 + 1 for side in (height, width))
    pad = ((0, 0), (0, max(0, 2 * rows + size)), (0, max(0, 2 * columns + size)), (0, 0))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, pad, constant_values=-np.inf), (size, size), (1, 2))
    return windows[:, ::2, ::2].max((-1, -2))[:, :rows, :columns]


def computed(net: Quantised, name: str, x: NDArray[np.uint8]) -> Floats:
    """(n, height, width, 5), by the definition."""
    for layer, (size, inputs, pool) in zip(net.layers, SHAPES[name], strict=True):
        values = bent(summed(x, layer, size, inputs), layer)
        if layer is net.layers[-1]:
            return np.asarray(values[..., : net.head.shape[1]] @ net.head.T + net.bias)
        values = values if pool is None else pooled(values, pool[0], same=pool[1])
        x = np.clip(np.rint(values + layer.offset), 0, 255).astype(np.uint8)
    raise AssertionError("a network has a last layer")


def test_the_ranges_fit_the_networks(weights: Weights) -> None:
    for name, shapes in SHAPES.items():
        measured = ranges()[name]
        assert len(measured) == len(shapes) - 1
        for index, (low, high) in enumerate(measured):
            assert low.shape == high.shape == (getattr(weights, name)[3 * index].shape[-1],)
            assert (low <= high).all()


@pytest.mark.parametrize(("name", "side"), [("rnet", 24), ("onet", 48)])
def test_the_kernels_compute_what_the_arrays_say(byte_networks: None, weights: Weights, name: str, side: int) -> None:
    net, crops = network(weights, name), looks(side)
    # One step more or less where a value lies between two of them; later layers add such steps up.
    np.testing.assert_allclose(Classifier(net, side).classify(crops), computed(net, name, crops)[:, 0, 0], atol=0.05)


def test_the_kernel_for_levels_computes_what_the_arrays_say(byte_networks: None, weights: Weights) -> None:
    net, picture = network(weights, "pnet"), level()
    cells, answers = Proposer(net).propose(picture, -np.inf, 10_000)
    wanted = computed(net, "pnet", picture[None])[0]
    assert len(cells) == wanted.shape[0] * wanted.shape[1]
    np.testing.assert_allclose(answers, wanted[cells[:, 1], cells[:, 0]], atol=0.05)


def float_answers(graphs: Graphs, name: str, pictures: Pixels) -> Answers:
    side = pictures.shape[1]
    return Planar(Network(name, getattr(graphs, name), CPU), len(pictures), side).run(pictures)


@pytest.mark.parametrize(("name", "side"), [("rnet", 24), ("onet", 48)])
def test_8_bit_scores_and_corrections_are_near_the_float_networks(
    weights: Weights, graphs: Graphs, name: str, side: int
) -> None:
    crops = looks(side)
    ours, exact = computed(network(weights, name), name, crops)[:, 0, 0], float_answers(graphs, name, crops)
    near = np.abs(exact[:, 0]) < 3
    assert near.sum() >= 5
    assert np.abs(ours - exact)[near, 0].max() < mtcnn.MARGIN
    assert np.abs(ours - exact)[near, 1:].max() < 0.08
    # Far from a decision a score may be further off, on the same side.
    assert ((ours[:, 0] > 0) == (exact[:, 0] > 0))[~near].all()


def test_8_bit_proposals_are_near_the_float_networks(weights: Weights, graphs: Graphs) -> None:
    picture = level()[None]
    ours = computed(network(weights, "pnet"), "pnet", picture)[0]
    exact = float_answers(graphs, "pnet", picture)[0].transpose(1, 2, 0)
    near = np.abs(exact[..., 0]) < 3
    assert near.sum() > 20
    assert np.abs(ours - exact)[near, 0].max() < proposals.MARGIN


def test_arrays_are_read_row_by_row(weights: Weights) -> None:
    for name in SHAPES:
        net = network(weights, name)
        assert net.head.flags.c_contiguous
        assert all(layer.weights.flags.c_contiguous for layer in net.layers)
