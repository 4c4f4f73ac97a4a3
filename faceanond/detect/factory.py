"""From the configuration to a detector."""

from __future__ import annotations

from pathlib import Path

import structlog

from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect.cache import mtcnn_graphs
from faceanond.detect.mtcnn import Mtcnn, Networks
from faceanond.detect.protocol import Detector
from faceanond.detect.session import Network, choose_device

log = structlog.get_logger(__name__)


def open_detector(settings: DetectorConfig, *, cache: Path | None = None) -> Detector:
    """Opens the networks on the configured device; blocks for a moment. `cache` replaces the user's cache folder.

    Raises UnavailableError when the device or the weights are missing. The caller closes the detector.
    """
    device = choose_device(settings.device, settings.threads)
    graphs = mtcnn_graphs(cache)
    networks = Networks(
        Network("P-Net", graphs.pnet, device),
        Network("R-Net", graphs.rnet, device),
        Network("O-Net", graphs.onet, device),
    )
    log.info("detector opened", detector=Mtcnn.name, provider=device.provider, threads=device.threads)
    return Mtcnn(networks, device.provider)
