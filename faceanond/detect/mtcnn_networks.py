"""MTCNN's networks on a device: in float32 everywhere, in 8 bits where the CPU runs the kernels for those."""

from __future__ import annotations

from pathlib import Path

import structlog

from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect import native
from faceanond.detect.boxes import CELL
from faceanond.detect.cache import Graphs, mtcnn_graphs
from faceanond.detect.graphs import from_pixels
from faceanond.detect.mtcnn import Mtcnn
from faceanond.detect.native import Classifier, Proposer
from faceanond.detect.networks import ByteNetworks, FloatNetworks, Planar
from faceanond.detect.picture import CHANNELS
from faceanond.detect.quantise import quantised, ranges
from faceanond.detect.session import BatchedNetwork, Device, Network
from faceanond.detect.weights import load_weights

log = structlog.get_logger(__name__)

_GPU_SHEET = 320
"""Side of the sheets that hold the pyramids' levels on a GPU, in pixels: most levels of a 720p picture fit whole."""


def open_mtcnn(settings: DetectorConfig, device: Device, cache: Path | None) -> Mtcnn:
    """The detector. Raises UnavailableError when the weights are missing or the networks cannot be opened."""
    on_cpu = device.provider == "cpu"
    networks = float_networks(mtcnn_graphs(cache), device)
    quick = byte_networks() if on_cpu and settings.quantised else None
    return Mtcnn(networks, device.provider, quick=quick, threads=device.threads, sheet=None if on_cpu else _GPU_SHEET)


def float_networks(graphs: Graphs, device: Device) -> FloatNetworks:
    """The cascade in float32. Raises UnavailableError when it cannot be opened on that very device."""
    if device.provider == "cpu":
        # As many pictures at once as the second-level cache holds.
        return FloatNetworks(
            pnet=Planar(Network("P-Net", graphs.pnet, device), most=128, side=CELL),
            rnet=Planar(Network("R-Net", graphs.rnet, device), most=16, side=24),
            onet=Planar(Network("O-Net", graphs.onet, device), most=4, side=48),
        )

    def network(name: str, model: bytes, side: int, sizes: tuple[int, ...]) -> BatchedNetwork:
        return BatchedNetwork(name, from_pixels(model), device, (side, side, CHANNELS), sizes)

    return FloatNetworks(
        pnet=network("P-Net", graphs.pnet, _GPU_SHEET, (1, 2, 4, 8, 16, 32)),
        rnet=network("R-Net", graphs.rnet, 24, (16, 64, 256)),
        onet=network("O-Net", graphs.onet, 48, (4, 16, 64)),
    )


def byte_networks() -> ByteNetworks | None:
    """The 8-bit copies, where this CPU runs them."""
    reason = native.networks_missing()
    if reason is not None:
        if native.missing() is None:  # else open_detector has told the same reason
            log.warning("detecting without the 8-bit networks, at half the speed", reason=reason)
        return None
    weights, measured = load_weights(), ranges()
    pnet, rnet, onet = (quantised(weights, name, measured[name]) for name in ("pnet", "rnet", "onet"))
    return ByteNetworks(Proposer(pnet), Classifier(rnet, 24), Classifier(onet, 48))
