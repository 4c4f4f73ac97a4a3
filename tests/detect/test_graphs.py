"""The rewritten graphs against the networks computed the long way, in float64 from the same weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from faceanond.detect import graphs
from faceanond.detect.networks import Planar
from faceanond.detect.session import BatchedNetwork, Device, Network
from faceanond.detect.weights import Weights, load_weights

Array = NDArray[np.float64]
CPU = Device("cpu", 1)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights()


def pictures(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(7).integers(0, 256, shape).astype(np.float32)


def convolved(x: Array, kernel: Array, bias: Array) -> Array:
    """x is (n, height, width, in)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nhwcij,ijco->nhwo", windows, kernel, optimize=True) + bias


def bent(x: Array, slopes: Array) -> Array:
    return np.where(x > 0, x, x * slopes.reshape(-1))


def pooled(x: Array, size: int, *, same: bool) -> Array:
    height, width = x.shape[1:3]
    if same:
        rows, columns = -(-height // 2), -(-width // 2)
        pad = ((0, 0), (0, (rows - 1) * 2 + size - height), (0, (columns - 1) * 2 + size - width), (0, 0))
        x = np.pad(x, pad, constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::2, ::2].max((-1, -2))


def answers(x: Array, box: Array, box_bias: Array, face: Array, face_bias: Array) -> Array:
    """(..., 5) in the order of the graphs' outputs."""
    scores = x @ face.reshape(face.shape[-2:]) + face_bias
    difference = scores[..., 1:] - scores[..., :1]
    return np.concatenate([difference, x @ box.reshape(box.shape[-2:]) + box_bias], axis=-1)


def expected(
    arrays: tuple[NDArray[np.float32], ...], x: NDArray[np.float32], pools: list[tuple[int, bool] | None]
) -> Array:
    layers = [array.astype(np.float64) for array in arrays]
    features = (x.transpose(0, 2, 3, 1).astype(np.float64) - 127.5) / 128
    for pool in pools:
        kernel, bias, slopes, *layers = layers
        features = bent(convolved(features, kernel, bias), slopes)
        if pool is not None:
            features = pooled(features, pool[0], same=pool[1])
    if layers[0].ndim == 2:
        dense, bias, slopes, *layers = layers
        # Keras' Permute((2, 1, 3)): width first. Any other order still runs, and finds a third fewer faces.
        features = bent(features.transpose(0, 2, 1, 3).reshape(len(x), -1) @ dense + bias, slopes)
    return answers(features, layers[0], layers[1], layers[-2], layers[-1])


@pytest.mark.parametrize(("height", "width"), [(12, 12), (13, 12), (31, 14), (40, 57)])
def test_pnet_computes_the_published_network_at_any_size(weights: Weights, height: int, width: int) -> None:
    x = pictures(2, 3, height, width)
    result = Network("P-Net", graphs.build_pnet(weights), CPU).run(x)
    wanted = expected(weights.pnet, x, [(2, True), None, None]).transpose(0, 3, 1, 2)
    assert result.shape == wanted.shape
    np.testing.assert_allclose(result, wanted, atol=2e-5)


def test_rnet_computes_the_published_network(weights: Weights) -> None:
    x = pictures(3, 3, 24, 24)
    result = Network("R-Net", graphs.build_rnet(weights), CPU).run(x)
    np.testing.assert_allclose(result, expected(weights.rnet, x, [(3, True), (3, False), None]), atol=2e-5)


def test_onet_computes_the_published_network(weights: Weights) -> None:
    x = pictures(3, 3, 48, 48)
    result = Network("O-Net", graphs.build_onet(weights), CPU).run(x)
    np.testing.assert_allclose(result, expected(weights.onet, x, [(3, True), (3, False), (2, True), None]), atol=2e-5)


@pytest.mark.parametrize(("build", "side"), [(graphs.build_pnet, 30), (graphs.build_rnet, 24), (graphs.build_onet, 48)])
def test_a_network_that_takes_pixels_answers_the_same(
    weights: Weights, build: Callable[[Weights], bytes], side: int
) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (3, side, side, 4)).astype(np.uint8)
    plain = Planar(Network("plain", build(weights), CPU), most=3, side=side)
    network = BatchedNetwork("pixels", graphs.from_pixels(build(weights)), CPU, (side, side, 4), (1, 4))
    np.testing.assert_allclose(network.run(pixels), plain.run(pixels), atol=1e-5)


def test_building_is_repeatable(weights: Weights) -> None:
    assert graphs.build_onet(weights) == graphs.build_onet(weights)
