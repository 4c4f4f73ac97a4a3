"""`faceanond check`: every mistake at once, and with `--probe` what each camera really sends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faceanond.config.check import findings, warnings
from faceanond.config.load import load
from faceanond.config.model import Camera
from faceanond.errors import ConfigError, ExitCode, FaceanondError

AT_ONCE = 8
"""Cameras that are probed at the same time."""


def check(path: Path, overrides: Sequence[str], *, probe_cameras: bool) -> int:
    """Prints warnings and that all is good. Raises ConfigError with all mistakes of the file, then of this machine."""
    config = load(path, overrides)
    for warning in warnings(config, path, overrides):
        print(f"warning: {warning}", file=sys.stderr)
    if found := findings(config, path, overrides):
        raise ConfigError(found)
    enabled = {name: camera for name, camera in config.cameras.items() if camera.enabled}
    print(f"{path}: good, {len(enabled)} camera{'s' if len(enabled) != 1 else ''}")
    return _probe(enabled) if probe_cameras else ExitCode.OK


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
