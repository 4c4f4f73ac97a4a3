"""`faceanond check`: every mistake at once, and with `--probe` what each camera really sends."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faceanond.config.check import findings, warnings
from faceanond.config.detectors import FILE_DETECTORS
from faceanond.config.load import load
from faceanond.config.model import Camera, Config
from faceanond.errors import ExitCode, FaceanondError

STATE = Path("/var/lib/faceanond")
AT_ONCE = 8
"""Cameras that are probed at the same time."""


def check(path: Path, overrides: Sequence[str], *, probe_cameras: bool) -> int:
    """Prints what is wrong with this machine, what may not be meant, or that all is good; returns the exit code.

    Raises ConfigError with all mistakes of the file itself.
    """
    config = load(path, overrides)
    for warning in warnings(config, path, overrides):
        print(f"warning: {warning}", file=sys.stderr)
    enabled = {name: camera for name, camera in config.cameras.items() if camera.enabled}
    missing = [str(problem) for problem in findings(config, path, overrides)]
    missing += [f"{path}: {problem}" for problem in _unusable(config, enabled)]
    for line in missing:
        print(line, file=sys.stderr)
    if not missing:
        print(f"{path}: good, {len(enabled)} camera{'s' if len(enabled) != 1 else ''}")
    probed = _probe(enabled) if probe_cameras else ExitCode.OK
    return ExitCode.UNAVAILABLE if missing else probed


def _unusable(config: Config, cameras: dict[str, Camera]) -> Iterator[str]:
    """What only the parts themselves know: a device that is not there, options that a demo camera does not have."""
    if config.detector.device not in ("auto", "cpu"):
        from faceanond.detect.session import choose_device  # loads ONNX Runtime, which a plain check does not need

        try:
            choose_device(config.detector.device)
        except FaceanondError as error:
            yield f"detector.device: {error}"
    if any(name in FILE_DETECTORS for name in config.detector.name):
        from faceanond.detect.factory import unusable_models

        yield from (f"detector.model: {problem}" for problem in unusable_models(config.detector))
    if any(camera.record.enabled for camera in cameras.values()) and not _left_to_systemd(config):
        from faceanond.publish.record.disk import unusable

        if problem := unusable(config.record.directory):
            yield f"record.directory: {problem}"
    for name, camera in cameras.items():
        if camera.source.scheme == "demo":
            from faceanond.capture.demo import DemoOptions

            try:
                DemoOptions.parse(camera.source.options)
            except FaceanondError as error:
                yield f"cameras.{name}.source: {error}"


def _left_to_systemd(config: Config) -> bool:
    """Whether the recordings' folder is below one that the unit's StateDirectory makes at its first start."""
    return not STATE.exists() and STATE in Path(config.record.directory).parents


def _probe(cameras: dict[str, Camera]) -> ExitCode:
    """One line per camera: what it sends, or why it does not."""
    failures = 0
    with ThreadPoolExecutor(AT_ONCE, "probe") as threads:
        for name, (good, line) in zip(cameras, threads.map(_look, cameras, cameras.values()), strict=True):
            failures += not good
            print(f"{name}: {line}", file=sys.stdout if good else sys.stderr)
    return ExitCode.FAILED if failures else ExitCode.OK


def _look(name: str, camera: Camera) -> tuple[bool, str]:
    from faceanond.capture.probe import probe  # loads FFmpeg, which a plain check does not need

    try:
        info = probe(name, camera)
    except FaceanondError as error:
        return False, str(error)
    fps = f"{info.fps:g} fps" if info.fps else "unknown frame rate"
    return True, f"{info.codec}, {info.width}x{info.height}, {fps}"
