"""`faceanond version`: what runs here, so that a report of a defect says it all."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import av

from faceanond import __version__
from faceanond.detect import native
from faceanond.detect.session import available_provider, runtime_version

_PACKAGES = ("aiortc", "av", "numpy", "opencv-python-headless", "mtcnn")


def ffmpeg_version() -> str:
    """FFmpeg's own version, as bundled with PyAV."""
    return av.ffmpeg_version_info


@cache
def versions() -> dict[str, str]:
    """The version of each component, by its name; asked of the packages' files once."""
    found = {"faceanond": __version__, "python": platform.python_version()}
    found |= {"ffmpeg": ffmpeg_version(), "onnxruntime": runtime_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def version_lines() -> list[str]:
    """One line per component, and what the detector would run on here."""
    lines = [f"{name} {number}" for name, number in versions().items()]
    return [*lines, f"provider {available_provider()} ({platform.machine()})", f"kernels {_kernels()}"]


def _kernels() -> str:
    if (reason := native.missing()) is not None:
        return f"none: {reason}"
    if (reason := native.networks_missing()) is not None:
        return f"pictures and boxes; no 8-bit networks: {reason}"
    return "pictures, boxes and 8-bit networks"
