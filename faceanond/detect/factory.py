"""From the configuration to a detector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import structlog

from faceanond.config.detectors import FILE_DETECTORS
from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect import native
from faceanond.detect.cache import engines_folder
from faceanond.detect.centerface import CENTERFACE
from faceanond.detect.model_files import model_path, read_model
from faceanond.detect.mtcnn_networks import open_mtcnn
from faceanond.detect.onnx_file import adapted
from faceanond.detect.protocol import Detector
from faceanond.detect.session import Device, Network, choose_device
from faceanond.detect.single_shot import SingleShot, prove
from faceanond.detect.union import UnionDetector
from faceanond.detect.yunet import YUNET
from faceanond.errors import UnavailableError

log = structlog.get_logger(__name__)

_FAMILIES = {family.name: family for family in (YUNET, CENTERFACE)}


def open_detector(settings: DetectorConfig, *, cache: Path | None = None) -> Detector:
    """Opens the networks on the configured device; blocks for a moment. `cache` replaces the user's cache folder.

    Raises UnavailableError when the device, the weights or a model file are missing or not what they should be. The
    caller closes the detector.
    """
    if (reason := native.missing()) is not None:
        log.warning("detecting without the compiled kernels, slower and with slightly fewer faces", reason=reason)
    device = choose_device(settings.device, settings.threads)
    if device.provider == "tensorrt":
        device = replace(device, engines=engines_folder(cache))
    members = [
        open_mtcnn(settings, device, cache) if name == "mtcnn" else open_single_shot(settings, name, device)
        for name in settings.name
    ]
    detector = members[0] if len(members) == 1 else UnionDetector(members)
    log.info("detector opened", detector=detector.name, provider=device.provider, threads=device.threads)
    return detector


def open_single_shot(settings: DetectorConfig, name: str, device: Device) -> Detector:
    """Opens a detector that is read from a file. Raises UnavailableError, naming the file, when that cannot be used."""
    family = _FAMILIES[name]
    where = f"the model file {model_path(settings, name)} of {name}"
    content = adapted(read_model(settings, name), family.signature, where)
    try:
        network = Network(name, content, device)
    except UnavailableError as error:
        raise UnavailableError(f"{where} cannot be used: {error}") from error
    prove(family, network, where)
    return SingleShot(family, network, device.provider)


def unusable_models(settings: DetectorConfig) -> list[str]:
    """What is wrong with the model files that the settings need, opened on the CPU; empty when nothing is."""
    problems: list[str] = []
    for name in settings.name:
        if name in FILE_DETECTORS:
            try:
                open_single_shot(settings, name, Device("cpu", 1)).close()
            except UnavailableError as error:
                problems.append(str(error))
    return problems
