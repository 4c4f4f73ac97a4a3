"""`faceanond version`: what runs here, so that a report of a defect says it all."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import av

from faceanond import __version__
from faceanond.detect.session import available_provider, runtime_version

_PACKAGES = ("aiortc", "av", "numpy", "opencv-python-headless", "mtcnn")


def ffmpeg_version() -> str:
    """FFmpeg's own version, as bundled with PyAV."""
    return av.ffmpeg_version_info


def version_lines() -> list[str]:
    """One line per component: name and version."""
    lines = [f"faceanond {__version__}", f"python {platform.python_version()} ({platform.machine()})"]
    lines.append(f"ffmpeg {ffmpeg_version()}")
    lines.append(f"onnxruntime {runtime_version()} (provider in use: {available_provider()})")
    for name in _PACKAGES:
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} is missing")
    return lines
